"""ROAD, remove and debias (Rong et al. 2022): what is left of a class when the pixels that a map ranks highest, or
lowest, are filled in from what lies around them.

A grey pixel is a mark of its own: its outline tells what was there, and a network has seen none. A pixel that is filled
in tells nothing but its neighbours, so that what the class loses is what the pixels themselves said.
"""

from __future__ import annotations

import numpy as np

from activation_atlas.stages.caches import cached
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf
from activation_atlas.stages.vision.model import Model, freeze, open_model

PERCENT = (10, 20, 30, 40, 50, 70, 90)
"""Shares of the pixels that are removed, of the paper."""

NOISE = 0.01 * 255
"""Standard deviation of the noise on what is filled in: a hundredth of the range of values, of the paper."""

NEIGHBOURS = tuple(
    ((down, right), 1 / 12 if down and right else 1 / 6) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right
)
"""(rows down, columns right), weight: the eight around a pixel, those at its corners for half."""

_SALT = 0x60AD  # keeps these draws apart from those of the random maps


def noise(image_id: str, seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """What is added to an image's filled-in pixels, on a scale of 0 to 255, float64; one draw for all its maps."""
    return NOISE * np.random.default_rng([seed, int(image_id, 16), _SALT]).standard_normal(shape)


def filled(pixels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Each hidden pixel as the weighted mean of its eight neighbours, hidden ones among them: a linear system.

    At the border there are fewer neighbours, whose weights are scaled up to 1.

    Args:
        pixels: (h, w, c).
        hidden: bool (h, w), not all of it.

    Returns:
        float64 (h, w, c).
    """
    from scipy.sparse import csc_matrix
    from scipy.sparse.linalg import splu

    found = np.array(pixels, np.float64)
    count = int(hidden.sum())
    if not count:
        return found
    number = np.full(hidden.shape, -1)
    number[hidden] = np.arange(count)
    rows, columns = np.nonzero(hidden)
    around, known = np.zeros(count), np.zeros((count, pixels.shape[2]))
    entries = []
    for (down, right), weight in NEIGHBOURS:
        there, beside = rows + down, columns + right
        of = np.flatnonzero((there >= 0) & (there < hidden.shape[0]) & (beside >= 0) & (beside < hidden.shape[1]))
        there, beside = there[of], beside[of]
        around[of] += weight
        other = number[there, beside]
        seen = other < 0
        known[of[seen]] += weight * found[there[seen], beside[seen]]
        entries.append((np.full((~seen).sum(), -weight), of[~seen], other[~seen]))
    entries.append((around, np.arange(count), np.arange(count)))
    values, i, j = (np.concatenate(part) for part in zip(*entries, strict=True))
    # Symmetric and diagonally dominant: no pivot has to be looked for, and its order is found for that.
    options = {"SymmetricMode": True}
    system = csc_matrix((values, (i, j)), (count, count))
    found[hidden] = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0, options=options).solve(known)
    return found


def removed(pixels: np.ndarray, ranks: np.ndarray, added: np.ndarray) -> np.ndarray:
    """An image without its highest pixels, then without its lowest, at each of :data:`PERCENT`.

    Args:
        pixels: uint8 (h, w, c).
        ranks: int32 (h, w), the order of the pixels, from 0.
        added: (h, w, c), the noise on those that are filled in.

    Returns:
        float32 (2, percentages, h, w, c) in [0, 255] but for the noise.
    """
    made = []
    for places in (ranks, ranks.size - 1 - ranks):
        for percent in PERCENT:
            hidden = places < ranks.size * percent // 100
            made.append(filled(pixels, hidden) + added * hidden[..., None])
    return np.stack(made).astype(np.float32).reshape(2, len(PERCENT), *pixels.shape)


class Road:
    """ROAD by one model, compiled once: ``(pixels, ranks, (image id, seed))`` -> probabilities."""

    def __init__(self, model: Model, batch: int) -> None:
        self.model, self.batch = model, min(batch, 2 * len(PERCENT))
        self.read = freeze(self._read, tf.TensorSpec((self.batch, *model.input_size, model.channels), tf.float32))

    def _read(self, pixels: tf.Tensor) -> tf.Tensor:
        (logits,) = self.model.values(self.model.to_input(pixels), [self.model.program.output])
        return tf.cast(self.model.probabilities(logits), tf.float32)

    def __call__(self, pixels: np.ndarray, ranks: np.ndarray, drawn: tuple[str, int] | None) -> np.ndarray:
        """float32 (2, percentages, K): highest removed first, and lowest; without noise where nothing is ``drawn``."""
        added = np.zeros(pixels.shape) if drawn is None else noise(*drawn, pixels.shape)
        shown = removed(pixels, ranks, added).reshape(-1, *pixels.shape)
        parts = [shown[start : start + self.batch] for start in range(0, len(shown), self.batch)]
        read = [self.read(tf.constant(padded(part, self.batch))).numpy()[: len(part)] for part in parts]
        return np.concatenate(read).reshape(2, len(PERCENT), -1)


def road(spec: ModelSpec, batch: int) -> Road:
    """A :class:`Road`, kept within the process: compiled once for all shards."""
    return _compiled(open_model(spec), batch)


@cached(1)
def _compiled(model: Model, batch: int) -> Road:
    return Road(model, batch)
