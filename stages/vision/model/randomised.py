"""A model forgetting what it learned, layer after layer, from the logits down (Adebayo et al. 2018).

A layer forgets by having its weights shuffled: kernels value by value, and whatever has one number for a channel
(biases, the scale, shift, mean and variance of a batch norm) channel by channel and all alike. So the distribution
of every tensor of weights stays what training made it, and signals neither die nor explode on their way; what each
weight stood for is gone.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import keras
import numpy as np

from activation_atlas.stages.caches import Cache
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model.classifier import Model
from activation_atlas.stages.vision.model.loading import Loaded, load
from activation_atlas.stages.vision.model.program import Step, flatten


def depths(layers: int, count: int) -> list[int]:
    """Numbers of layers to shuffle: 1, ``layers``, and up to ``count`` evenly spread in all."""
    return sorted({int(d) for d in np.rint(np.linspace(1, layers, min(count, layers)))})


def weighted(loaded: Loaded) -> list[tuple[str, Any]]:
    """(path, Keras layer) of what has learned weights, in running order; each layer once, where it is called first.

    Normalization of the input is no part of it: it was measured, not learned.
    """
    found: dict[int, tuple[str, Any]] = {}
    for step in flatten(loaded.keras, f"model {loaded.name}").steps:
        layer = step.operation if isinstance(step.operation, keras.layers.Layer) else _Loose.of(step)
        if _learned(layer) and not isinstance(layer, keras.layers.Normalization):
            key = id(step.operation) if layer is step.operation else id(layer.weights[0])
            found.setdefault(key, (step.name.partition("#")[0], layer))
    return list(found.values())


@dataclass(frozen=True)
class _Loose:
    """Weights that an operation is called with: those that a layer made of others has of its own."""

    weights: tuple[Any, ...]

    @staticmethod
    def of(step: Step) -> _Loose:
        given = keras.tree.flatten((list(step.args), step.kwargs))
        return _Loose(tuple(x for x in given if isinstance(x, keras.Variable)))


def cascade(spec: ModelSpec, count: int, seed: int) -> Iterator[tuple[int, int, str, Model]]:
    """The model with more and more of its layers shuffled, from the last one down.

    Loaded afresh: :func:`open_model` keeps and returns the model as it was. Each is to be used before the next is
    asked for, because they share their weights.

    Args:
        count: how many, the last layer alone and all layers always among them.

    Yields:
        layers shuffled, layers there are, path of the earliest one shuffled, the model.
    """
    loaded = load(spec)
    ending = Model(loaded, spec).ending  # found with the weights that it has, not with shuffled ones
    layers = weighted(loaded)[::-1]
    done = 0
    for depth in depths(len(layers), count):
        for name, layer in layers[done:depth]:
            shuffle(layer, name, seed)
        done = depth
        yield depth, len(layers), layers[depth - 1][0], Model(loaded, spec, ending)


def at_depth(spec: ModelSpec, count: int, number: int, seed: int) -> tuple[int, int, str, Model] | None:
    """One depth of :func:`cascade`, by its number from 0; None where it has fewer.

    The cascade is kept between calls, so that depths asked for in their order cost what the cascade does. Each model
    is to be used before the next is asked for.
    """
    stat = os.stat(spec.path) if spec.path and os.path.exists(spec.path) else None
    key = (spec.model_dump_json(), stat and (stat.st_mtime_ns, stat.st_size), count, seed)
    begun = _BEGUN.get(key, lambda: _Begun(cascade(spec, count, seed)), valid=lambda kept: kept.passed <= number)
    return begun.at(number)


class _Begun:
    """A cascade, and how many of its models were asked for or passed over."""

    def __init__(self, models: Iterator[tuple[int, int, str, Model]]) -> None:
        self.models, self.passed = models, 0

    def at(self, number: int) -> tuple[int, int, str, Model] | None:
        # What raises on its way is at its end, and would pass for a model of fewer layers: it is valid no more.
        passed, self.passed = self.passed, sys.maxsize
        found = next(islice(self.models, number - passed, None), None)
        self.passed = number + 1
        if found is None or found[0] == found[1]:
            self.models = iter(())  # nothing follows: the model need not be held
        return found


_BEGUN: Cache[tuple, _Begun] = Cache(1)


def shuffle(layer: Any, name: str, seed: int) -> None:
    """Shuffles a layer's weights in place; which way depends on the seed and on the layer's path."""
    word = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    channels: dict[int, np.ndarray] = {}
    for number, weight in enumerate(_learned(layer)):
        value = keras.ops.convert_to_numpy(weight)
        if value.ndim == 1:
            rng = np.random.default_rng([seed, word])
            moved = value[channels.setdefault(value.size, rng.permutation(value.size))]
        else:
            moved = np.random.default_rng([seed, word, number]).permutation(value.reshape(-1)).reshape(value.shape)
        weight.assign(moved)


def _learned(layer: Any) -> Sequence[Any]:
    """Weights that are numbers: not the states of random draws."""
    return [w for w in layer.weights if keras.backend.is_float_dtype(w.dtype)]
