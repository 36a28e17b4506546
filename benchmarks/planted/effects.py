"""What is true of a network, measured on test images that the audit never saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from activation_atlas import RunFolder
from benchmarks.planted.artefacts import ARTEFACTS
from benchmarks.planted.data import met
from benchmarks.planted.sizes import Case

BATCH = 500
MOST = 4000
SIDES = ("top", "left", "bottom", "right")
Corners = tuple[int, int, int, int]


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
        return self._body.predict(pixels, batch_size=BATCH, verbose=0) @ kernel + bias

    @cached_property
    def _body(self) -> Any:
        import keras

        return keras.Model(self.model.inputs, self.model.layers[-1].input)

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


def true_effects(
    run: RunFolder, cues: Sequence[Mapping[str, Any]], shown: Mapping[str, np.ndarray], fresh: Fresh
) -> list[dict[str, Any]]:
    """Every cue that was pasted, again on up to 4,000 fresh images of other classes that are not taken for its class.

    The same exemplars go to the places of its trial; the images are as the audited ones, 12 % with the artefact.

    Args:
        shown: the audited images, uint8 (32, 32, 3), by image_id.

    Returns:
        of each cue what the audit said (``effect``, ``low``, ``high``, ``flip_rate``, ``verdict``) and what is true:
        ``true_effect``, ``true_flip``, ``true_control`` (a patch of another image from there in the exemplar's stead);
        ``held``: whether the interval holds the true effect; ``true_cue``: whether it truly turns more than that
        control and ``audit.least``.
    """
    columns = ["candidate", "intervention", "exemplar", *SIDES]
    pasted = [r for r in run.table("trials", columns, format="arrow").to_pylist() if r["intervention"] == "paste"]
    before, least, found = fresh.logits(fresh.met), run.config["audit"]["least"], []
    for cue in cues:
        kind, places = cue["class"], [row for row in pasted if row["candidate"] == cue["candidate"]]
        if not places or cue["low"] is None:
            continue
        rng = np.random.default_rng([fresh.case.seed, 4, cue["candidate"]])
        rows = rng.permutation(np.flatnonzero((fresh.labels != kind) & (before.argmax(1) != kind)))[:MOST]
        drawn = [places[k] for k in rng.integers(0, len(places), len(rows))]
        at, images, others = [_corners(row) for row in drawn], fresh.met[rows], fresh.met[rng.permutation(rows)]
        exemplars = [_cut(shown[one["image_id"]], _corners(one)) for one in cue["exemplars"]]
        after = fresh.logits(pasted_on(images, [exemplars[row["exemplar"]] for row in drawn], at))
        anyhow = [_cut(one, corners) for one, corners in zip(others, at, strict=True)]
        control = fresh.logits(pasted_on(images, anyhow, at))
        said = {name: cue[name] for name in ("candidate", "class", "verdict", "effect", "low", "high", "flip_rate")}
        effect = float((after[:, kind] - before[rows, kind]).mean())
        flips, turned_anyhow = (float((x.argmax(1) == kind).mean()) for x in (after, control))
        truth = {"true_effect": effect, "true_flip": flips, "true_control": turned_anyhow}
        held, surely = cue["low"] <= effect <= cue["high"], flips - turned_anyhow > least
        found.append({**said, **truth, "held": bool(held), "true_cue": bool(surely)})
    return found


def pasted_on(pixels: np.ndarray, patches: Sequence[np.ndarray], at: Sequence[Corners]) -> np.ndarray:
    """Images (n, h, w, 3) with one patch on each, its upper left corner at that of the rectangle."""
    out = pixels.copy()
    for one, patch, (top, left, bottom, right) in zip(out, patches, at, strict=True):
        one[top:bottom, left:right] = patch[: bottom - top, : right - left]
    return out


def _corners(row: Mapping[str, int]) -> Corners:
    return row["top"], row["left"], row["bottom"], row["right"]


def _cut(pixels: np.ndarray, corners: Corners) -> np.ndarray:
    top, left, bottom, right = corners
    return pixels[top:bottom, left:right]
