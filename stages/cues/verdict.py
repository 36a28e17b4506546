"""What the trials of one cue come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.drawing.numbers import rough
from activation_atlas.stages.intervals import Z
from activation_atlas.stages.intervention import REMOVALS
from activation_atlas.stages.significance import FEWEST as PATCHES
from activation_atlas.stages.significance import IMAGES as FEWEST
from activation_atlas.stages.significance import (
    bootstrap_mean,
    grouped,
    mean_above,
    mean_interval,
    paired_gap,
    paired_score,
    sign_flip,
)

CONTROLS = ("random", "class", "noise")
NEEDED = ("random", "class")
"""Without these nothing is verified: much that is no cue beats noise, and noise of a plain colour is none."""
LEVEL = 0.05
"""Of q, and what intervals leave out."""
POWER = 0.84
"""Normal quantile of 80 %: the chance that as many images as are asked for decide."""


@dataclass(frozen=True)
class Pairs:
    """One kind of change of some images: (n,) each, sorted by image.

    Attributes:
        images: their ids.
        change: of the class's logit.
        flips: whether the image became the class.
        patch: number of the exemplar that was pasted, or that what was pasted is held against.
    """

    images: np.ndarray
    change: np.ndarray
    flips: np.ndarray
    patch: np.ndarray

    @classmethod
    def of(cls, trials: pa.Table, kind: str) -> Pairs:
        """Those of one intervention."""
        own = trials.filter(pc.equal(trials["intervention"], kind)).sort_by("image_id")
        before, after = (own[name].to_numpy().astype(np.float64) for name in ("logit_before", "logit_after"))
        flips = own["pred_after"].to_numpy() == own["class"].to_numpy()
        ids = np.array(own["image_id"].to_pylist(), object)
        return cls(ids, after - before, flips, own["exemplar"].to_numpy())

    def beside(self, other: Pairs) -> tuple[Pairs, Pairs]:
        """Both, of the images that both have."""
        _, mine, theirs = np.intersect1d(self.images, other.images, assume_unique=True, return_indices=True)
        return self.take(mine), other.take(theirs)

    def take(self, which: np.ndarray) -> Pairs:
        """Some of them."""
        return Pairs(self.images[which], self.change[which], self.flips[which], self.patch[which])


def pasted(trials: pa.Table, least: float, seed: int) -> dict[str, Any]:
    """What pasting does, beside the control that does most.

    A cue must beat each control (Berger 1982): in the share of images that become the class, by more than ``least``
    (Tango 1998), and in the logit (by flipping signs). It must do so over its patches, too (Student 1908), or one odd
    patch of ten would make a cue: each is pasted on images of its own, whose mean is one value.

    Returns:
        ``tests``: the largest p over the controls, by what it is of; ``bound``: the gap is surely below this, as often
        as an interval of :data:`LEVEL` holds, though the control is the one that leaves least; ``lacks``: what is
        missing for a test.
    """
    cue = Pairs.of(trials, "paste")
    found: dict[str, Any] = {"images": len(cue.images)}
    if len(cue.images) < FEWEST:
        return found
    found |= {"effect": float(cue.change.mean()), "flip_rate": float(cue.flips.mean())}
    if (patches := len(np.unique(cue.patch))) < PATCHES:
        return found | {"lacks": f"{patches} patches of it; {PATCHES} are needed"}
    found["low"], found["high"] = mean_interval(grouped(cue.change, cue.patch))
    pairs = {name: cue.beside(Pairs.of(trials, name)) for name in CONTROLS}
    lacks = [name for name in NEEDED if len(pairs[name][0].images) < FEWEST]
    held = [_against(name, *pair, least, seed) for name, pair in pairs.items() if len(pair[0].images) >= FEWEST]
    if lacks:
        n = len(pairs[lacks[0]][0].images)
        found["lacks"] = f"{n} {CONTROLLED[lacks[0]]} to hold it against; {FEWEST} are needed"
    if not held:
        return found
    strongest = max(held, key=lambda each: each["control_rate"])
    level = LEVEL / len(held)  # any of them may be the one that refutes it
    found |= strongest | {"bound": min(_gap(*pairs[each["control"]], level)[1] for each in held)}
    if lacks:  # what the other controls refute is refuted, but nothing is verified by them
        del found["tests"]
        return found
    tests = {name: max(each["tests"][name] for each in held) for name in ("flips", "logit", "patches")}
    return found | {"tests": tests, "p_value": max(tests.values())}


def _against(name: str, own: Pairs, control: Pairs, least: float, seed: int) -> dict[str, Any]:
    """A cue beside one control, on the same images."""
    more, fewer, n = _discordant(own, control)
    flips, change = own.flips.astype(float) - control.flips, own.change - control.change
    tests = {
        "flips": _upper(paired_score(more, fewer, n, least)),
        "logit": sign_flip(change, seed),
        "patches": max(mean_above(grouped(flips, own.patch), least), mean_above(grouped(change, own.patch))),
    }
    low, high = _gap(own, control, LEVEL)
    gap = {"gap": (more - fewer) / n, "gap_low": low, "gap_high": high}
    return {"control": name, "control_rate": float(control.flips.mean()), **gap, "tests": tests}


def _gap(own: Pairs, control: Pairs, outside: float) -> tuple[float, float]:
    """The difference of the shares that become the class: the wider of the intervals over images and over patches."""
    from scipy.special import ndtri

    z = Z if outside == LEVEL else float(ndtri(1 - outside / 2))
    over_images = paired_gap(*_discordant(own, control), z)
    over_patches = mean_interval(grouped(own.flips.astype(float) - control.flips, own.patch), outside)
    return max(-1.0, min(over_images[0], over_patches[0])), min(1.0, max(over_images[1], over_patches[1]))


CONTROLLED = {
    "random": "random patches",
    "class": "other patches of the class",
    "noise": "noise of its spectrum",
}


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
    if found["bound"] < least or found.get("removal_high", 1.0) < 0:
        return "refuted"
    return "verified" if q < LEVEL else "undecided"


def needed(found: dict[str, Any], least: float) -> int | None:
    """Images at which the gap's interval, which narrows with their square root, would leave out ``least`` in four cases
    of five; None where it does so already, and where the gap is just that."""
    return _until(found["images"], found["gap_low"], found["gap"], found["gap_high"], least)


def missing(found: dict[str, Any], least: float) -> str:
    """Why a cue is undecided whose gap's interval leaves out the least: by the largest of its p values, or, where it is
    below, because a cue of several controls is refuted by more than one such interval takes."""
    if found["gap_high"] < least:
        return "turns hardly more images than its strongest control, but not surely fewer than it would have to"
    worst = max(found["tests"], key=lambda name: found["tests"][name])
    if found["tests"][worst] < LEVEL:
        return "it does what a cue does, but among so many candidates not surely enough; more images would tell"
    if worst == "removal":
        more = _until(found["carriers"], found["removal_low"], found["removal"], found["removal_high"], 0.0)
        tell = f"; about {rough(more)} images that have it would tell, {found['carriers']} were there" if more else ""
        return f"turns images, but taking it out shows no sure fall{tell}"
    if worst == "logit":
        return "turns images, but raises the logit no more surely than some control does"
    return (
        "some of its patches turn images and some do not: whether it is one cue is not sure; more exemplars would tell"
    )


def _until(count: int, low: float, middle: float, high: float, line: float) -> int | None:
    away = abs(middle - line)
    if away == 0 or not low <= line <= high:
        return None
    return int(np.ceil(count * max(1.0, (high - low) / 2 * (1 + POWER / Z) / away) ** 2)) + 1
