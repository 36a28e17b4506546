"""What the trials of one cue come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.intervals import Z
from activation_atlas.stages.intervention import REMOVALS
from activation_atlas.stages.significance import bootstrap_mean, paired_gap, paired_score, sign_flip

CONTROLS = ("random", "class", "noise")
FEWEST = 20
"""Images below which nothing is tested."""
LEVEL = 0.05
"""Of q, and what intervals leave out."""


@dataclass(frozen=True)
class Pairs:
    """One kind of change of some images: (n,) each, sorted by image.

    Attributes:
        images: their ids.
        change: of the class's logit.
        flips: whether the image became the class.
    """

    images: np.ndarray
    change: np.ndarray
    flips: np.ndarray

    @classmethod
    def of(cls, trials: pa.Table, kind: str) -> Pairs:
        """Those of one intervention."""
        own = trials.filter(pc.equal(trials["intervention"], kind)).sort_by("image_id")
        before, after = (own[name].to_numpy().astype(np.float64) for name in ("logit_before", "logit_after"))
        flips = own["pred_after"].to_numpy() == own["class"].to_numpy()
        return cls(np.array(own["image_id"].to_pylist(), object), after - before, flips)

    def beside(self, other: Pairs) -> tuple[Pairs, Pairs]:
        """Both, of the images that both have."""
        _, mine, theirs = np.intersect1d(self.images, other.images, assume_unique=True, return_indices=True)
        return self.take(mine), other.take(theirs)

    def take(self, which: np.ndarray) -> Pairs:
        """Some of them."""
        return Pairs(self.images[which], self.change[which], self.flips[which])


def pasted(trials: pa.Table, least: float, seed: int) -> dict[str, Any]:
    """What pasting does, beside the control that does most.

    The p value is the largest over the controls, for a cue must beat each (Berger 1982): of the share of images that
    become the class, that it is no more than ``least`` above the control's (Tango 1998), and of the logit, that it
    rises no more than with the control (by flipping signs).
    """
    cue = Pairs.of(trials, "paste")
    found: dict[str, Any] = {"images": len(cue.images)}
    if len(cue.images) < FEWEST:
        return found
    low, high = bootstrap_mean(cue.change, seed)
    found |= {"effect": float(cue.change.mean()), "low": low, "high": high, "flip_rate": float(cue.flips.mean())}
    p, strongest = 0.0, -1.0
    for name in CONTROLS:
        own, control = cue.beside(Pairs.of(trials, name))
        if len(own.images) < FEWEST:
            continue
        more, fewer, n = _discordant(own, control)
        p = max(p, _upper(paired_score(more, fewer, n, least)), sign_flip(own.change - control.change, seed))
        rate = float(control.flips.mean())
        if rate > strongest:
            strongest = rate
            gap_low, gap_high = paired_gap(more, fewer, n, Z)
            gap = (more - fewer) / n
            found |= {"control": name, "control_rate": rate, "gap": gap, "gap_low": gap_low, "gap_high": gap_high}
    return found | ({"p_value": p} if strongest >= 0 else {})


def _discordant(own: Pairs, control: Pairs) -> tuple[int, int, int]:
    """Images that the first alone turns, that the second alone turns, and all."""
    return int((own.flips & ~control.flips).sum()), int((~own.flips & control.flips).sum()), len(own.images)


def _upper(z: float) -> float:
    """Share of the normal distribution above z."""
    from scipy.special import ndtr

    return float(ndtr(-z))


def removed(trials: pa.Table, seed: int) -> dict[str, Any]:
    """How far the logit falls where the cue is taken out, less where as much is taken out beside it.

    Mean over the ways of taking out, image by image. Nothing where there are too few images.
    """
    falls = []
    for kind in (*REMOVALS, "swap"):
        own, other = Pairs.of(trials, kind).beside(Pairs.of(trials, f"{kind}_elsewhere"))
        falls.append(dict(zip(own.images.tolist(), (other.change - own.change).tolist(), strict=True)))
    shared = sorted(set.intersection(*(set(each) for each in falls)))
    if len(shared) < FEWEST:
        return {"carriers": len(shared)}
    fall = np.array([np.mean([each[image] for each in falls]) for image in shared])
    low, high = bootstrap_mean(fall, seed)
    numbers = {"removal": float(fall.mean()), "removal_low": low, "removal_high": high}
    return {"carriers": len(shared), **numbers, "removal_p": sign_flip(fall, seed)}


def verdict(found: dict[str, Any], q: float, least: float) -> str:
    """verified: surely turns more images than any control, by more than ``least``, and taking it out lowers the logit
    where that could be tried. refuted: surely turns no more than that, or taking it out surely does nothing.
    """
    if found.get("gap") is None:
        return "undecided"
    if found["gap_high"] < least or found.get("removal_high", 1.0) < 0:
        return "refuted"
    return "verified" if q < LEVEL else "undecided"


def needed(found: dict[str, Any], least: float) -> int | None:
    """Images at which the gap's interval, which narrows with their square root, would leave out ``least``; None where
    it does so already, and where the gap is just that."""
    return _until(found["images"], found["gap_low"], found["gap"], found["gap_high"], least)


def needed_without(found: dict[str, Any]) -> int | None:
    """Images that have the cue at which the fall's interval would leave out 0; None where it does so already, and where
    it was taken out of too few."""
    if found.get("removal") is None:
        return None
    return _until(found["carriers"], found["removal_low"], found["removal"], found["removal_high"], 0.0)


def _until(count: int, low: float, middle: float, high: float, line: float) -> int | None:
    away = abs(middle - line)
    if away == 0 or not low <= line <= high:
        return None
    return int(np.ceil(count * max(1.0, (high - low) / 2 / away) ** 2)) + 1
