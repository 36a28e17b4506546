"""What is true of a network, measured on test images that the audit never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtrit

from activation_atlas import RunFolder
from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.halves import priority
from activation_atlas.stages.intervention import Rect
from activation_atlas.stages.significance import grouped
from activation_atlas.stages.trials.carrier import carrier
from activation_atlas.stages.vision.batching import padded
from benchmarks.planted.artefacts import ARTEFACTS
from benchmarks.planted.data import met
from benchmarks.planted.sizes import Case

BATCH = 48
MOST = 2000
"""Fresh images that a cue is pasted on."""
MORE = 40
"""Patches beside those of the audit that the truth is measured with."""


@dataclass(frozen=True)
class Fresh:
    """Images that were not audited, and the network.

    Attributes:
        pixels: uint8 (n, 32, 32, 3), without the artefact.
        labels: (n,).
    """

    network: Path
    pixels: np.ndarray
    labels: np.ndarray
    case: Case

    @cached_property
    def met(self) -> np.ndarray:
        """The same images as an audit would meet them: some with the artefact."""
        rng = np.random.default_rng([self.case.seed, 5])
        return met(self.pixels, self.labels, self.case.artefact, rng)[0]

    @cached_property
    def model(self) -> Any:
        import keras

        return keras.models.load_model(self.network)

    def logits(self, pixels: np.ndarray) -> np.ndarray:
        """Of images uint8, (n, K)."""
        kernel, bias = self.model.layers[-1].get_weights()
        some = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
        return (
            np.concatenate([self._body(padded(part.astype(np.float32), BATCH)).numpy()[: len(part)] for part in some])
            @ kernel
            + bias
        )

    @cached_property
    def _body(self) -> Any:
        """All but the last layer, of as many images at once, compiled once: a model's own predict compiles anew."""
        import keras
        import tensorflow as tf

        body = keras.Model(self.model.inputs, self.model.layers[-1].input)
        shape = tf.TensorSpec((BATCH, *self.model.input_shape[1:]), tf.float32)
        return tf.function(lambda images: body(images, training=False), input_signature=[shape])

    def called(self, pixels: np.ndarray) -> np.ndarray:
        """What the network takes images for, (n,)."""
        return self.logits(pixels).argmax(1)

    @cached_property
    def taken(self) -> np.ndarray:
        """What it takes the images for as they are."""
        return self.called(self.pixels)


def accuracy(fresh: Fresh) -> float:
    """Share of fresh images that the network gets right."""
    return float((fresh.taken == fresh.labels).mean())


def turned(fresh: Fresh) -> float:
    """Share of images of other classes, not taken for the case's class, that become it with the artefact on them.

    Of a clean twin: of the class that most images become, whichever it is.
    """
    case, rng = fresh.case, np.random.default_rng([fresh.case.seed, 3])
    with_it = fresh.called(np.stack([ARTEFACTS[case.artefact](one, rng)[0] for one in fresh.pixels]))
    kinds = [case.target] if case.rho is not None else range(10)
    able = {k: (fresh.labels != k) & (fresh.taken != k) for k in kinds}
    return max((float((with_it[own] == k).mean()) for k, own in able.items() if own.any()), default=float("nan"))


Patch = tuple[np.ndarray, Rect]
"""Pixels, and the rectangle that they are from and go to."""


def true_effects(
    run: RunFolder, cues: Sequence[Mapping[str, Any]], shown: Mapping[str, np.ndarray], fresh: Fresh
) -> list[dict[str, Any]]:
    """Every cue that was pasted, again on up to 2,000 fresh images of other classes that are not taken for its class.

    An interval is said of the cue, not of the ten patches that the audit drew: so up to 40 others of the region that
    they are drawn from are cut out in the same way, and stand for all that were not drawn. The images are as the
    audited ones, 12 % with the artefact.

    Args:
        shown: the audited images, uint8 (32, 32, 3), by image_id.

    Returns:
        of each cue what the audit said (``effect``, ``low``, ``high``, ``flip_rate``, ``verdict``) and what is true:
        ``true_effect`` with its standard error, ``true_error``, as far as it is of a part of all patches;
        ``true_flip``, ``true_control`` (a patch of another image from there in the exemplar's stead); ``held``: whether
        the interval holds the true effect; ``true_cue``: whether it truly turns more than that control and
        ``audit.least``.
    """
    before, least, found = fresh.logits(fresh.met), run.config["audit"]["least"], []
    region = _Region(run, shown, fresh)
    for cue in cues:
        if cue["low"] is None:
            continue
        kind, own = cue["class"], [_patch(shown[one["image_id"]], one) for one in cue["exemplars"]]
        more, pool = region.others(cue)
        patches = own + more
        rng = np.random.default_rng([fresh.case.seed, 4, cue["candidate"]])
        rows = rng.permutation(np.flatnonzero((fresh.labels != kind) & (before.argmax(1) != kind)))[:MOST]
        which = np.arange(len(rows)) % len(patches)
        images, others = fresh.met[rows], fresh.met[rng.permutation(rows)]
        after = fresh.logits(pasted_on(images, [patches[k] for k in which]))
        instead = [(_cut(one, patches[k][1]), patches[k][1]) for one, k in zip(others, which, strict=True)]
        control = fresh.logits(pasted_on(images, instead))
        weights = shares(len(own), len(more), pool)
        effect, flips, anyhow = (
            float(grouped(values.astype(np.float64), which) @ weights)
            for values in (
                after[:, kind] - before[rows, kind], after.argmax(1) == kind, control.argmax(1) == kind
            )
        )  # fmt: skip
        said = {name: cue[name] for name in ("candidate", "class", "verdict", "effect", "low", "high", "flip_rate")}
        each = grouped((after[:, kind] - before[rows, kind]).astype(np.float64), which)[len(own) :]
        error = uncertain(each, pool - len(own)) * (pool - len(own)) / pool
        truth = {"true_effect": effect, "true_error": error, "true_flip": flips, "true_control": anyhow}
        truth |= {"patches": len(patches), "held": holds(cue, effect, error, len(own))}
        found.append({**said, **truth, "true_cue": flips - anyhow > least})
    return found


def uncertain(each: np.ndarray, of: int) -> float:
    """Standard error of the mean of ``of`` patches that those of ``each`` (n,) stand for; 0 where they are all."""
    n = len(each)
    return float(each.std(ddof=1) / n**0.5 * max(0.0, 1 - n / of) ** 0.5) if n > 1 else 0.0


def holds(cue: Mapping[str, Any], truth: float, error: float, patches: int) -> bool:
    """Whether an interval of Student's holds a truth that is itself known with an error: the difference of two means
    that know nothing of each other has the sum of their variances."""
    half = (cue["high"] - cue["low"]) / 2
    return bool(abs((cue["high"] + cue["low"]) / 2 - truth) <= np.hypot(half, stdtrit(patches - 1, 0.975) * error))


def shares(own: int, more: int, pool: int) -> np.ndarray:
    """What each patch counts for in the mean over a pool: the audit's for themselves, the others for all the rest."""
    if not more:
        return np.full(own, 1 / own)
    return np.concatenate([np.full(own, 1 / pool), np.full(more, (pool - own) / more / pool)])


class _Region:
    """The positions that a cue's exemplars are drawn from."""

    def __init__(self, run: RunFolder, shown: Mapping[str, np.ndarray], fresh: Fresh) -> None:
        extract = StoreInputs(Store(run.path), "", "").state("extract", "")
        self.layer = extract["layers"][run.config["atlases"][0]["layer"]]
        self.typical = {r["candidate"]: r for r in run.table("evidence", format="arrow").to_pylist() if r["tested"]}
        self.rows = run.table("spuriosity", format="arrow").to_pylist()
        self.shown, self.fresh = shown, fresh

    def others(self, cue: Mapping[str, Any]) -> tuple[list[Patch], int]:
        """Patches that the audit could have drawn and did not, and how many positions it drew from."""
        about, drawn = self.typical[cue["candidate"]], {one["image_id"] for one in cue["exemplars"]}
        able = [
            row
            for row in self.rows
            if row["candidate"] == cue["candidate"] and not row["held_out"] and row["own"] == (about["origin"] == "own")
            and row["strongest"] is not None and row["strongest"] >= about["typical"]
        ]  # fmt: skip
        rest = [row for row in able if row["image_id"] not in drawn]
        order = np.argsort(priority([row["image_id"] for row in rest], self.fresh.case.seed, 9))[:MORE]
        return [self._cut(rest[k], cue["class"]) for k in order.tolist()], len(able)

    def _cut(self, row: Mapping[str, Any], kind: int) -> Patch:
        image = self.shown[row["image_id"]]
        y, x = (
            offset + stride * row[side]
            for offset, stride, side in zip(self.layer["offset"], self.layer["stride"], ("row", "col"), strict=True)
        )
        rect, _, _ = carrier(image, (float(y), float(x)), kind, self.fresh.logits)
        return _cut(image, rect), rect


def pasted_on(pixels: np.ndarray, patches: Sequence[Patch]) -> np.ndarray:
    """Images (n, h, w, 3) with one patch on each."""
    out = pixels.copy()
    for one, (patch, (top, left, bottom, right)) in zip(out, patches, strict=True):
        one[top:bottom, left:right] = patch
    return out


def _patch(image: np.ndarray, row: Mapping[str, int]) -> Patch:
    rect = row["top"], row["left"], row["bottom"], row["right"]
    return _cut(image, rect), rect


def _cut(pixels: np.ndarray, rect: Rect) -> np.ndarray:
    top, left, bottom, right = rect
    return pixels[top:bottom, left:right]
