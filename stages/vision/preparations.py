"""The usual ways to bring pixels to what a network expects, and what a model says of images brought so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.model import Model, freeze

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""Of ImageNet's colours in [0, 1], as torchvision's models take them (`keras.applications`' mode "torch")."""

BGR_MEAN = np.array([103.939, 116.779, 123.68], np.float32)
"""Of ImageNet's blue, green and red in [0, 255], as the first VGG and ResNet took them (mode "caffe")."""


@dataclass(frozen=True)
class Preparation:
    """A way to bring pixels to a model.

    Attributes:
        name: for messages and figures.
        apply: pixels in [0, 255], float32 (n, h, w, c), to what the model receives, of the same shape.
        settings: keys of the section `model` that make it so, those of :data:`stages.specs.COLOURS`; all others of
            these are to be left out.
        leave: of the keys that are given now, those.
    """

    name: str
    apply: Callable[[np.ndarray], np.ndarray]
    settings: Mapping[str, Any]
    leave: tuple[str, ...] = ()


def _linear(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x * np.float32((high - low) / 255) + np.float32(low)


_RANGES: tuple[tuple[float, float], ...] = ((0.0, 255.0), (-1.0, 1.0), (0.0, 1.0))


def usual(model: Model) -> list[Preparation]:
    """The usual preparations other than the model's own; the simplest first.

    Colours: [0, 255], [-1, 1], [0, 1], ImageNet's mean and deviation, BGR less its mean; and BGR of the model's own
    and of the three ranges. Greys: the three ranges, and black for white in each.
    """
    found = [Preparation(_said(r), _linear(*r), {"range": r}) for r in _RANGES]
    if model.channels == 1:
        found += [Preparation(_said(r[::-1]), _linear(*r[::-1]), {"range": r[::-1]}) for r in _RANGES]
    else:
        flipped = {key: value for key, value in model.configured.items() if key != "channels"}
        flipped |= {} if model.configured.get("channels") == "bgr" else {"channels": "bgr"}
        found += [
            Preparation(
                "ImageNet mean and deviation",
                lambda x: (x / np.float32(255) - MEAN) / DEVIATION,
                {"mean": _listed(MEAN), "std": _listed(DEVIATION)},
            ),
            Preparation(
                "BGR less ImageNet mean",
                lambda x: x[..., ::-1] - BGR_MEAN,
                {"channels": "bgr", "mean": _listed(BGR_MEAN)},
            ),
            Preparation("RGB" if "channels" not in flipped else "BGR", lambda x: own(model, x[..., ::-1]), flipped),
            *(Preparation(f"BGR {p.name}", _flipped(p.apply), {**p.settings, "channels": "bgr"}) for p in found),
        ]
    probe = _probe(model.channels)
    kept: list[Preparation] = []
    seen = [own(model, probe)]
    for preparation in found:
        received = preparation.apply(probe)
        if not any(np.allclose(received, other, rtol=1e-3, atol=1e-3 * np.ptp(other)) for other in seen):
            seen.append(received)
            kept.append(replace(preparation, leave=tuple(k for k in model.configured if k not in preparation.settings)))
    return kept


def own(model: Model, pixels: np.ndarray) -> np.ndarray:
    """What the model receives for pixels in [0, 255] as it is configured; float32."""
    return model.to_input(tf.constant(pixels)).numpy()


def _flipped(apply: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: apply(x)[..., ::-1]


def _probe(channels: int) -> np.ndarray:
    """Black, each of the colours, white: what tells two preparations apart, and leaves out none."""
    rows = np.vstack([np.zeros(channels), np.eye(channels) * 255, np.full(channels, 255)])
    return rows.astype(np.float32)[None, None]


def _said(bounds: tuple[float, float]) -> str:
    return f"[{bounds[0]:g}, {bounds[1]:g}]"


def _listed(values: np.ndarray) -> list[float]:
    return [float(f"{v:.6g}") for v in values]


def answers(model: Model, batch: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function of what the model receives, float32 (n, h, w, c), to its logits, float32 (n, K)."""
    shape = (batch, *model.input_size, model.channels)
    forward = freeze(
        lambda x: tf.cast(model.values(x, [model.program.output])[0], tf.float32), tf.TensorSpec(shape, tf.float32)
    )

    def apply(received: np.ndarray) -> np.ndarray:
        found = []
        for start in range(0, len(received), batch):
            some = received[start : start + batch]
            whole = tf.constant(padded(some, batch), tf.float32)
            found.append(forward(whole).numpy()[: len(some)])
        return np.concatenate(found)

    return apply


def probabilities(model: Model, logits: np.ndarray) -> np.ndarray:
    """Logits (n, K) to the model's probabilities (n, K), float64, each row made to sum to 1."""
    found = model.probabilities(tf.constant(logits)).numpy().astype(np.float64)
    return found / np.maximum(found.sum(1, keepdims=True), 1e-300)
