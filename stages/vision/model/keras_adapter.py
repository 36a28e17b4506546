"""What Keras and TensorFlow keep to themselves and is needed all the same: no other file names any of it.

Everything else goes by their public interface. A private record may move with any release: :data:`TESTED` says with
which ones the tests of models pass, and pyproject.toml asks for these. Of another one the log says so when a model is
opened; a record that is no longer there is one line that names the version. What saved files hold (``inbound_nodes``,
``keras_history``) is a format and no record: :mod:`stages.saved` reads it, and ``keras2`` that of Keras 2.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from inspect import signature
from typing import Any

import keras
import tensorflow as tf

from activation_atlas.stages.stage import UserError

log = logging.getLogger(__name__)

TESTED = {"keras": ("3.11", "3.15"), "tensorflow": ("2.20", "2.21")}
"""The lowest and the highest release of each library with which the tests of models pass."""

OPERATIONS = "keras.src.ops"
"""Where a saved model says that the classes behind ``keras.ops`` are: ``keras.src.ops.numpy``, ``keras.src.ops.nn``."""

_OWN = "keras.src."


# -- versions ------------------------------------------------------------------


def bounds(library: str) -> str:
    """What to ask an installer for: ``keras>=3.11,<3.16``."""
    low, high = TESTED[library]
    major, minor = _release(high)
    return f"{library}>={low},<{major}.{minor + 1}"


@lru_cache(maxsize=1)
def check_versions() -> None:
    """Says in the log which library is of a release that was not tested; once per process.

    Raises:
        UserError: Keras computes with something else than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise UserError(
            f"Keras computes with {keras.backend.backend()}, and this with TensorFlow: set KERAS_BACKEND=tensorflow, "
            "or leave it out"
        )
    for library, (low, high) in TESTED.items():
        if not _release(low) <= _release(_version(library)) <= _release(high):
            log.warning(
                "%s %s was not tested, %s to %s were: should a model be refused or look wrong, pip install '%s'",
                *(library, _version(library), low, high, bounds(library)),
            )


def _version(library: str) -> str:
    return {"keras": keras.__version__, "tensorflow": tf.__version__}[library]


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])


def _missing(library: str, what: str) -> UserError:
    return UserError(f"{library} {_version(library)} has no {what}, which is needed: pip install '{bounds(library)}'")


def _private(path: str) -> Any:
    """What a private module calls by the last name of ``path``.

    Raises:
        UserError: this version has it no longer, or not yet.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise _missing(path.partition(".")[0], path) from error


# -- graphs --------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A call of an operation in a model's graph.

    Attributes:
        operation: a Keras layer or operation.
        args, kwargs: what it was called with; tensors are ``keras.KerasTensor``, also deep inside.
        inputs, outputs: the tensors it was given and those it made.
    """

    operation: Any
    args: list[Any]
    kwargs: dict[str, Any]
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def graph(operation: Any) -> Any | None:
    """The graph inside a model whose call is that graph and nothing else: has ``inputs`` and ``outputs``.

    None for any other operation, and for a Sequential model that was never built.
    """
    functional = _private("keras.src.models.functional.Functional")
    try:
        if isinstance(operation, keras.Sequential) and type(operation).call is keras.Sequential.call:
            return operation._functional
    except AttributeError as error:
        raise _missing("keras", "Sequential._functional") from error
    return operation if isinstance(operation, functional) and type(operation).call is functional.call else None


def calls(graph: Any) -> list[Call]:
    """The calls of a graph in an order in which they can run; its inputs are none."""
    try:
        by_depth = graph._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth] if not node.is_input]
        return [
            Call(n.operation, list(n.arguments.args), dict(n.arguments.kwargs), n.input_tensors, n.outputs)
            for n in nodes
        ]
    except AttributeError as error:
        raise _missing("keras", f"graph that can be read ({error})") from error


def output_names(model: keras.Model) -> list[str]:
    """What the outputs of a functional or Sequential model are called, in order: as the layers that make them.

    Of a layer that makes several, or of two of one name, they are numbered: ``split:0``, ``split:1``.
    """
    own = graph(model)
    made = {id(tensor): call.operation.name for call in calls(own) for tensor in call.outputs}
    names = [made.get(id(tensor), "input") for tensor in own.outputs]
    return [name if names.count(name) == 1 else f"{name}:{names[:k].count(name)}" for k, name in enumerate(names)]


def between(inputs: list[keras.KerasTensor], outputs: list[keras.KerasTensor]) -> Any:
    """The graph that leads from some symbolic tensors to others, as :func:`graph` gives one."""
    return keras.Function(inputs, outputs)


@contextmanager
def filled_up(layers: Iterable[Any]) -> Iterator[None]:
    """Called on symbolic tensors under it, layers return a number in the place of None, which no graph can hold."""

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer.compute_output_spec(*args, **kwargs)
        return keras.tree.map_structure(lambda x: keras.KerasTensor((), "float32") if x is None else x, outputs)

    layers = list(layers)
    for layer in layers:
        vars(layer)["symbolic_call"] = partial(called, layer)
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["symbolic_call"]


# -- layers and operations -----------------------------------------------------


def sublayers(layer: Any) -> list[Any]:
    """The layers that a layer holds itself, not those inside of them."""
    try:
        return list(layer._flatten_layers(include_self=False, recursive=False))
    except AttributeError as error:
        raise _missing("keras", "Layer._flatten_layers") from error


def at_inference(call: Call) -> dict[str, Any]:
    """The keywords of a call as in ``predict``: inference wins even over one recorded with training=True."""
    layer = isinstance(call.operation, keras.layers.Layer)
    trains = layer and "training" in signature(call.operation.call).parameters
    return call.kwargs | ({"training": False} if trains else {})


def home(operation: Any) -> str | None:
    """The module of Keras that defines an operation, ``layers.pooling.max_pooling2d``; None for what is not Keras's."""
    module = _module(operation)
    return module.removeprefix(_OWN) if module.startswith(_OWN) else None


def is_own(operation: Any) -> bool:
    """Whether an operation is defined in this project."""
    return _module(operation).startswith("activation_atlas.")


def _module(operation: Any) -> str:
    return getattr(operation, "__module__", "") or type(operation).__module__


_SCOPE = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")
"""Names that TensorFlow takes for a scope that lies in no other."""


def as_scopes(operation: Any) -> Any:
    """An operation whose own name, and those of the layers within it, name scopes of a TensorFlow graph.

    Keras takes any name for a layer; TensorFlow refuses some (`_conv`, `my conv`) as soon as a graph is traced.
    The others are changed in place; what a layer is called is read before.
    """
    layers = operation._flatten_layers() if isinstance(operation, keras.layers.Layer) else ()
    for layer in layers:
        if not _SCOPE.fullmatch(layer.name):
            layer.name = re.sub(r"[^A-Za-z0-9.]", "-", layer.name).lstrip("-") or "layer"
    return operation


def snake_case(kind: str) -> str:
    """What Keras calls a layer of a class that was given no name, before it numbers it: ``layer_normalization``."""
    return _private("keras.src.utils.naming.to_snake_case")(kind)


def with_attributes(layer: Any, /, **attributes: Any) -> Any:
    """A shallow copy of a layer, with other attributes. It shares its weights: whatever changes them changes both.

    Not from its config, which would draw new weights, and not by ``copy``, which in Keras saves and loads.
    """
    twin = object.__new__(type(layer))
    twin.__dict__.update(layer.__dict__ | attributes)
    return twin


# -- applications --------------------------------------------------------------


def preprocessing(application: Callable[..., keras.Model]) -> Callable[[tf.Tensor], tf.Tensor]:
    """The ``preprocess_input`` that belongs to a function of ``keras.applications``: it is beside it in its module."""
    return _private(f"{application.__module__}.preprocess_input")


def imagenet_index_url() -> str:
    """Where ``decode_predictions`` has the names of ImageNet's classes from."""
    return _private("keras.src.applications.imagenet_utils.CLASS_INDEX_PATH")


# -- TensorFlow ----------------------------------------------------------------


_CONSTANTS = "tensorflow.python.framework.convert_to_constants"


def with_constants(traced: Any, given: Mapping[str, tf.Tensor]) -> Callable[..., list[tf.Tensor]]:
    """A ``ConcreteFunction`` with its variables turned into constants; it returns a flat list of tensors.

    Args:
        given: values of variables that stay out of the graph, and are handed to it with each call instead: by the
            name of the placeholder through which it holds the variable. It does nothing but read them.
    """
    if not given:
        return _private(f"{_CONSTANTS}.convert_variables_to_constants_v2")(traced)
    held = _private(f"{_CONSTANTS}._FunctionConverterDataInEager")(traced, True, False, None, set(given))
    graph, converted = _private(f"{_CONSTANTS}._replace_variables_by_constants")(held)
    arguments = traced.inputs[: len(traced.inputs) - len(traced.captured_inputs)]
    if graph.library.function or len(converted) + len(given) != len(traced.captured_inputs):
        return with_constants(traced, {})  # loops and the like, whose bodies read for themselves
    for node in graph.node:
        if node.name in given:
            _holds(node, given[node.name])
        elif node.op == "ReadVariableOp" and node.input[0] in given:
            node.op = "Identity"
            node.attr["T"].CopyFrom(node.attr.pop("dtype"))
    names = [*(x.op.name for x in arguments), *given]
    outputs = [x.name for x in traced.outputs]

    def imported(*tensors: tf.Tensor) -> list[tf.Tensor]:
        placed = dict(zip(names, tensors, strict=True))
        return tf.graph_util.import_graph_def(graph, input_map=placed, return_elements=outputs, name="")

    values = list(given.values())
    specs = [tf.TensorSpec(x.shape, x.dtype) for x in [*arguments, *values]]
    frozen = tf.function(imported, autograph=False).get_concrete_function(*specs)
    return lambda *tensors: frozen(*tensors, *values)


def _holds(placeholder: Any, value: tf.Tensor) -> None:
    """Turns the placeholder of a variable into one of its value."""
    for name in [name for name in placeholder.attr if name.startswith("_")]:
        del placeholder.attr[name]
    placeholder.attr["dtype"].type = value.dtype.as_datatype_enum
    placeholder.attr["shape"].shape.CopyFrom(value.shape.as_proto())
