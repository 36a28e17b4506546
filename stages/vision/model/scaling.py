"""The values that a model takes for black and white, where its own first steps tell."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model.classifier import Model
from activation_atlas.stages.vision.model.program import Step

_TAKEN = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
"""What networks are given for black and white."""

_MADE = ((0.0, 1.0), (-1.0, 1.0), (-0.5, 0.5), (0.0, 255.0), (-127.5, 127.5))
"""What a Rescaling makes of it."""

_PROBES = (-1.0, 0.0, 1.0, 255.0)


@dataclass(frozen=True)
class Told:
    """What the first steps of a model tell: they take ``range`` to ``made``, by the layer ``by``."""

    range: tuple[float, float]
    made: tuple[float, float]
    by: str

    def __str__(self) -> str:
        return f"begins with {self.by}, which takes {said(self.range)} to {said(self.made)}"


def said(bounds: tuple[float, float]) -> str:
    """Bounds as a configuration writes them."""
    return f"[{bounds[0]:.4g}, {bounds[1]:.4g}]"


def bounds(model: Model) -> tuple[float, float]:
    """What the model receives for black and for white as it is configured, mean over the channels."""
    black, white = (model.to_input(tf.fill((1, 1, 1, model.channels), v)).numpy().mean() for v in (0.0, 255.0))
    return float(black), float(white)


def told(model: Model) -> Told | None:
    """The range that the steps before the first weights ask for; None where they do not tell.

    Each is tried by numbers, on pictures of one value: whatever the steps are (Rescaling, Normalization, a division
    and a subtraction, preprocess_input, in a nested model or behind a Resizing), together they are x -> a x + b. They
    tell where just one of [0, 255], [0, 1] and [-1, 1] comes out as what networks work on: [0, 1], [-1, 1],
    [-0.5, 0.5], [0, 255], or, if none of these, standardised values or colours less their mean.
    """
    lines = _lines(model)
    # A padding, a pooling, a flip behind it change nothing: the step that made the range is named.
    lines = [own for before, own in zip([None, *lines], lines, strict=False) if before is None or before[1] != own[1]]
    for made in (_rescaled, _standardised):
        for by, (scale, offset) in reversed(lines):
            fits = [
                (taken, ends)
                for taken in _TAKEN
                if made(*(ends := (scale * taken[0] + offset, scale * taken[1] + offset)), scale)
            ]
            if len(fits) == 1:
                return Told(*fits[0], by)
    return None


def contradiction(model: Model, spec: ModelSpec) -> tuple[str, str] | None:
    """What is wrong with the range that a model is given, and what would mend it; None where it tells nothing else."""
    found = told(model)
    standard = [f"model.{key}" for key in ("mean", "std") if getattr(spec, key) is not None]
    if found is None or (spec.range is None and not standard and spec.path is None):
        return None
    given, (low, high) = sorted(bounds(model)), found.range
    if max(abs(given[0] - low), abs(given[1] - high)) <= 0.1 * (high - low):
        return None
    takes = f"model {model.name} {found}"
    if standard:
        keys = " and ".join(standard)
        ranged = "" if found.range == _TAKEN[0] else f", and give model.range: {said(found.range)}"
        return f"{takes}; with {keys} it is given {said(given)}", f"leave {keys} out{ranged}"
    if spec.range is None:
        return f"{takes}; model.range is not given, and is then [0, 255]", f"give model.range: {said(found.range)}"
    default = "leave model.range out, or " if found.range == _TAKEN[0] else ""
    return f"{takes}; model.range is {said(spec.range)}", f"{default}give model.range: {said(found.range)}"


def _rescaled(low: float, high: float, scale: float) -> bool:
    # A sum alone scales nothing: it is one half of what follows.
    if abs(scale - 1) < 1e-6:
        return False
    return any(max(abs(low - a), abs(high - b)) <= 0.03 * (b - a) for a, b in _MADE)


def _standardised(low: float, high: float, scale: float) -> bool:
    width = high - low
    return low + 0.1 * width < 0 < high - 0.1 * width and (3 <= width <= 6.5 or abs(width - 255) < 1)


def _lines(model: Model) -> list[tuple[str, tuple[float, float]]]:
    """The steps before the first weights, in running order: name and kind, and (a, b) of what x has become there."""
    steps, reached = [], {model.program.input}
    for step in model.program.before([model.program.output]):
        if reached.issuperset(step.inputs) and (_norm(step) or not _learned(step)):
            steps.append(step)
            if not _norm(step):
                reached.update(step.outputs)
    slots = [step.inputs[0] if _norm(step) else step.outputs[0] for step in steps]
    shape = (len(_PROBES), *model.input_size, model.channels)
    pictures = np.broadcast_to(np.array(_PROBES, np.float32)[:, None, None, None], shape)
    found = []
    for step, x in zip(steps, model.values(tf.constant(pictures), slots) if slots else (), strict=True):
        answer = _by_moments(step, x) if _norm(step) else x
        line = None if answer is None else _line(answer)
        if line is not None and not np.allclose(line, (1, 0), atol=1e-6):
            found.append((f"{step.name} ({step.kind})", line))
    return found


def _norm(step: Step) -> bool:
    return isinstance(step.operation, keras.layers.BatchNormalization)


def _learned(step: Step) -> bool:
    if isinstance(step.operation, keras.layers.Normalization):
        return False
    return bool(getattr(step.operation, "weights", ()))


def _by_moments(step: Step, x: tf.Tensor) -> tf.Tensor | None:
    """What a batch norm's moments, those of what it was trained on, make of its input; None: it was never trained."""
    mean, variance = (np.asarray(w) for w in (step.operation.moving_mean, step.operation.moving_variance))
    if step.operation.axis not in (-1, len(x.shape) - 1) or (not mean.any() and (variance == 1).all()):
        return None
    return (tf.cast(x, "float32") - mean) / np.sqrt(variance + step.operation.epsilon)


def _line(answer: tf.Tensor) -> tuple[float, float] | None:
    """(a, b) of x -> a x + b, by the middle one of each picture's values: borders may be padded."""
    values = answer.numpy().astype(np.float64)
    if len(values) != len(_PROBES) or values.dtype.kind != "f":
        return None
    middle = np.median(values.reshape(len(values), -1), 1)
    if not np.isfinite(middle).all():
        return None
    scale = (middle[3] - middle[1]) / 255
    straight = scale * np.array(_PROBES) + middle[1]
    near = np.allclose(middle, straight, atol=2e-3 * max(abs(scale) * 255, 1e-12))
    return (float(scale), float(middle[1])) if near and scale > 0 else None
