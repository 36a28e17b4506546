"""A classifier that can be tapped at any layer and finished from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np
import tensorflow as tf

from activation_atlas.stages.specs import COLOURS, ModelSpec, meant
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.layer_info import LayerInfo
from activation_atlas.stages.vision.model.attending import Attending
from activation_atlas.stages.vision.model.geometry import Seen, loses, reaches, square, token_maps, upright
from activation_atlas.stages.vision.model.half import simplifier, widened
from activation_atlas.stages.vision.model.images_taken import check_colours, input_shape
from activation_atlas.stages.vision.model.layers import against, described, is_spatial, placed
from activation_atlas.stages.vision.model.loading import Loaded, class_names
from activation_atlas.stages.vision.model.logits import Ending, ends_in_one, probabilities, to_logits
from activation_atlas.stages.vision.model.program import Program, flatten, run
from activation_atlas.stages.vision.model.trying import shape_of

_HALF = ("float16", "bfloat16")
_GREY = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow's "L"


class Model:
    """An image classifier as a program of steps.

    Attributes:
        name: of the file or application, for messages.
        classes: class names, in the order of the logits.
        input_size: (height, width) in pixels.
        channels: 1 or 3.
        brings: how its own preprocessor brings images to its size, as keys of the section `images`; empty without one.
        configured: what the section `model` says of the values that it takes, by its keys.
        dtype: of everything that comes out: float32, or float64 for a float64 model.
        ends_in_one: whether the two logits are (0, z) of a single unit z.
        kind: ``softmax``; ``sigmoid`` where every class stands for itself; ``quantity`` where the outputs are no
            classes, and are themselves what is explained.
        ending: how the logits were found.
        program: the steps, ending in the logits; every layer's map lies in it as the image does.
        shapes: slot number to tensor shape, for two images of ``input_size``.
        native: slot number to the dtype the network itself computes it in.
        simplify: steps of the program -> fewer that give the same, with gradients that do not vanish in float16.
    """

    def __init__(self, loaded: Loaded, spec: ModelSpec, ending: Ending | None = None) -> None:
        """
        Args:
            ending: of the same network with other weights, where it was opened before.
        """
        where = f"model {loaded.name}"
        self.name = loaded.name
        self._prepare = loaded.prepare
        program = flatten(loaded.keras, where)
        symbol = loaded.keras.inputs[0]
        self.input_size, self.channels = input_shape(symbol.shape, spec, where, loaded.size)
        self._free = None in symbol.shape[1:3]  # its images may have other sizes
        check_colours(spec, self.channels, where)
        self.brings = dict(loaded.images)
        self.configured = {key: value for key in COLOURS if (value := getattr(spec, key)) is not None}
        self._input_dtype = symbol.dtype
        said = spec.returns, spec.task
        program, self.kind, self.ending = to_logits(program, said, self._facts, self._noise, where, ending)
        self.shapes, self.native = self._facts(program)
        self.program, self._tokens = program, spec.tokens
        for laid in (upright, partial(token_maps, said=spec.tokens)):
            program = laid(self.program, self.shapes)
            if program is not self.program:
                self.program = program
                self.shapes, self.native = self._facts(program)
        self.simplify = simplifier(self.program, self.native)
        self._placed: dict[str, LayerInfo] = {}
        self._against: dict[int, str | None] = {}
        self.ends_in_one = ends_in_one(self.program)
        self.dtype = self.native[self.program.output]
        self.dtype = "float32" if self.dtype in _HALF else self.dtype
        self.classes = class_names(spec, loaded.classes, self.shapes[self.program.output][-1], where)

    def _facts(self, program: Program) -> tuple[dict[int, tuple], dict[int, str]]:
        """Shapes and dtypes of all slots, from one trace at the model's input size."""
        shapes: dict[int, tuple] = {}
        native: dict[int, str] = {}

        def trace(x: tf.Tensor) -> tf.Tensor:
            values = run(program.before([program.output]), {program.input: tf.cast(x, self._input_dtype)})
            for slot, tensor in values.items():
                shapes[slot] = tuple(tensor.shape)
                native[slot] = tensor.dtype.name
            return values[program.output]

        spec = tf.TensorSpec((2, *self.input_size, self.channels), "float32")
        try:
            tf.function(trace, autograph=False).get_concrete_function(spec)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            size = " x ".join(map(str, spec.shape[1:]))
            remedy = "check model.input_size" if self._free else "save it so that model.predict runs on such images"
            raise UserError(f"model {self.name}: does not run on {size} images ({reason}); {remedy}") from error
        return shapes, native

    def _noise(self) -> tf.Tensor:
        """Images of noise as the model receives them: strong and faint in its own range, and in two it may not know."""
        rng = np.random.default_rng(0)
        size = (*self.input_size, self.channels)
        own = [rng.uniform(0, 255, size), rng.uniform(100, 155, size)]
        other = [rng.uniform(-1, 1, size), rng.uniform(-100, 100, size)]
        own = self.to_input(tf.constant(np.stack(own), "float32"))
        return tf.cast(tf.concat([own, tf.constant(np.stack(other), "float32")], 0), self._input_dtype)

    # -- values ------------------------------------------------------------------

    def to_input(self, pixels: tf.Tensor) -> tf.Tensor:
        """Pixels in [0, 255], uint8 or float, (n, h, w, 3 or 1) -> what the model receives, float32; traceable."""
        x = tf.cast(pixels, "float32")
        if self.channels == 1 and x.shape[-1] == 3:
            x = tf.tensordot(x, tf.constant(_GREY, "float32"), 1)[..., None]
        return tf.cast(self._prepare(x), "float32")

    def from_unit(self, pixels: tf.Tensor) -> tf.Tensor:
        """Pixels in [0, 1], float -> what the model receives; traceable and differentiable."""
        return self.to_input(pixels * 255.0)

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """Logits (n, K) -> probabilities (n, K); quantities as they are."""
        return probabilities(self.kind, logits)

    def scores(self, logits: tf.Tensor) -> tf.Tensor:
        """Logits (n, K) -> what is explained of each class (n, K): its logit.

        A single sigmoid unit z has the logits (0, z), of which a constant cannot be explained: there (-z, z).
        """
        return tf.stack([-logits[:, 1], logits[:, 1]], 1) if self.ends_in_one else logits

    # -- layers ------------------------------------------------------------------

    @cached_property
    def seen(self) -> dict[int, Seen]:
        """Where the maps lie on the image, by slot: of those that can be traced."""
        return reaches(self.program, self.shapes, self._tokens)

    @cached_property
    def _infos(self) -> dict[str, LayerInfo]:
        return described(self.program, self.shapes, self.seen)

    def layers(self) -> list[LayerInfo]:
        """The layers that can carry an atlas, in running order."""
        return list(self._infos.values())

    def layer(self, name: str) -> LayerInfo:
        """One layer by its path.

        Raises:
            UserError: no such layer (the nearest is named), not spatial, called several
                times, or one that the logits do not depend on.
        """
        if name in self._infos:
            return self._infos[name]
        where = f"layer {name} of model {self.name}"
        if name in self.program.called:
            calls = [f"{name}#{k}" for k in range(self.program.called[name])]
            raise UserError(f"{where}: is called {len(calls)} times; choose one call: {', '.join(calls)}")
        if name not in self.program.names:
            raise UserError(f"{where}: there is none; {meant(name, list(self._infos))}")
        slot = self.program.names[name]
        if slot not in self.shapes:
            raise UserError(f"{where}: the logits do not depend on it; choose a layer on the way to the output")
        if not is_spatial(self.shapes.get(slot, ())):
            shape = " x ".join(map(str, self.shapes[slot][1:]))
            if len(self.shapes[slot]) == 3:
                count = self.shapes[slot][1]
                many = f"of its {count} tokens ({shape}) none are known to be a rectangle of positions"
                say = f"say which, model.tokens: [rows, columns] (--tokens){square(count)}"
                raise UserError(f"{where}: {many}; {say}")
            last = list(self._infos)[-1] if self._infos else "none"
            raise UserError(f"{where}: its output ({shape}) has no positions; the last layer that has is {last}")
        lost = loses(self.program, self.shapes, self.seen, slot)
        why = f": {lost.name} ({lost.kind}) mixes or moves them; choose a layer before it" if lost else ""
        raise UserError(f"{where}: its positions cannot be traced back to the image{why}")

    def placed(self, name: str) -> LayerInfo:
        """A layer by its path, whose place on the image is proved by numbers; kept.

        Raises:
            UserError: as :meth:`layer`, or the numbers say otherwise than the graph.
        """
        if name not in self._placed:
            info = self.layer(name)
            self._placed[name] = placed(self, info, self.seen[self.program.names[name]])
        return self._placed[name]

    def against(self, slot: int) -> str | None:
        """What numbers say against the place of the map in a slot; None: nothing; kept."""
        if slot not in self._against:
            self._against[slot] = against(self, slot)
        return self._against[slot]

    # -- running -----------------------------------------------------------------

    def _begin(self, x: tf.Tensor) -> dict[int, tf.Tensor]:
        return {self.program.input: tf.cast(x, widened(self._input_dtype))}

    def held(self, slot: int) -> str:
        """The type in which :meth:`values` gives a slot: half precision is widened, whole numbers are as they are."""
        return self.dtype if self.native[slot] in _HALF else self.native[slot]

    def _out(self, tensor: tf.Tensor) -> tf.Tensor:
        return tf.cast(tensor, self.dtype) if tensor.dtype.name in _HALF else tensor

    def slot(self, layer: str) -> int:
        """The slot a layer fills; UserError as :meth:`layer`."""
        self.layer(layer)
        return self.program.names[layer]

    def feature_slot(self, layer: str) -> int:
        """The slot of a layer that has one vector for an image, or a map to be averaged.

        Raises:
            UserError: no such layer, or its output is neither.
        """
        slot = self.program.names.get(layer)
        if slot in self.shapes and len(self.shapes[slot]) == 2 and None not in self.shapes[slot]:
            return slot
        return self.slot(layer)

    def tap(self, layer: str) -> Callable[[tf.Tensor], tf.Tensor]:
        """x in the model's range (n, h, w, c), any h and w the graph accepts -> the layer's output."""
        slot = self.slot(layer)
        steps = self.simplify(self.program.before([slot]), [slot])
        return lambda x: self._out(run(steps, self._begin(x))[slot])

    def trunk(self, layer: str) -> Callable[[tf.Tensor], list[tf.Tensor]]:
        """x in the model's range -> [the layer's output, then whatever else :meth:`head` needs]."""
        wanted = [self.slot(layer), *self.program.frontier(self.slot(layer))]
        steps = self.simplify(self.program.before(wanted), wanted)

        def apply(x: tf.Tensor) -> list[tf.Tensor]:
            values = run(steps, self._begin(x))
            return [self._out(values[slot]) for slot in wanted]

        return apply

    def head(self, layer: str) -> Callable[[Sequence[tf.Tensor]], tf.Tensor]:
        """What :meth:`trunk` returned -> logits (n, K); differentiable."""
        apply = self.resumed(layer, [self.program.output])
        return lambda tensors: apply(tensors)[0]

    def resumed(self, layer: str, slots: Sequence[int]) -> Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]:
        """What :meth:`trunk` returned -> the tensors in ``slots``, of those that it computes and those behind."""
        given = [self.slot(layer), *self.program.frontier(self.slot(layer))]
        steps = self.simplify(self.program.after(given[0]), [*given, *slots])

        def apply(tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
            values = {slot: tf.cast(x, widened(self.native[slot])) for slot, x in zip(given, tensors, strict=True)}
            run(steps, values)
            return [self._out(values[slot]) for slot in slots]

        return apply

    def values(self, x: tf.Tensor, slots: Sequence[int]) -> list[tf.Tensor]:
        """x in the model's range -> the tensors in ``slots``, in one pass; half precision is widened."""
        held = run(self.simplify(self.program.before(slots), slots), self._begin(x))
        return [self._out(held[slot]) for slot in slots]

    def forward(self, layers: Sequence[str] = ()) -> Callable[[tf.Tensor], tuple[dict[str, tf.Tensor], tf.Tensor]]:
        """x in the model's range -> ({layer: its output}, logits), in one pass."""
        slots = [self.slot(layer) for layer in layers]

        def apply(x: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            *maps, logits = self.values(x, [*slots, self.program.output])
            return dict(zip(layers, maps, strict=True)), logits

        return apply

    # -- attention ---------------------------------------------------------------

    @cached_property
    def attention(self) -> Attending:
        """What the tokens of its blocks attend to; proved when first asked for."""
        return Attending(self.program, self.shapes, self.native, self._begin, self._out)

    def accepts(self, layer: str, height: int, width: int) -> bool:
        """Whether the layer's map can be computed, with an interior, for images of another size."""
        shape = shape_of(self.tap(layer), (height, width, self.channels))
        return shape is not None and len(shape) == 4 and None not in shape[1:] and min(shape[1:]) > 0
