"""What an audit found, held against the truth that it did not see."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from activation_atlas import image_id
from benchmarks.planted.artefacts import Box, touched

LIES_ON = 0.5
"""Share of a cue's exemplars that touch the artefact, from which on the cue is said to be the artefact."""
AT = (10, 25)
SHUFFLES = 50


@dataclass(frozen=True)
class Truth:
    """Which audited images carry the artefact.

    Attributes:
        target: class that it goes with in training.
        boxes: what it fills, of each image that carries it, by image_id.
    """

    target: int
    boxes: Mapping[str, Sequence[Box]]


def read_truth(path: Path, target: int) -> Truth:
    """The file that :func:`benchmarks.planted.data.write_audited` wrote."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Truth(target, {image_id(name): [tuple(box) for box in boxes] for name, boxes in told.items()})


def overlap(exemplars: Sequence[Mapping[str, Any]], truth: Truth) -> float:
    """Share of exemplar patches that have a pixel of the artefact; NaN of none."""
    boxes = [(truth.boxes.get(e["image_id"]), (e["left"], e["top"], e["right"], e["bottom"])) for e in exemplars]
    return float(np.mean([bool(there) and touched(own, list(there)) for there, own in boxes])) if boxes else np.nan


def of_cues(cues: Sequence[Mapping[str, Any]], truth: Truth) -> dict[str, Any]:
    """Of the rows of ``cues``, in any order.

    Returns:
        verified: verified cues.
        first: whether the first of them is the artefact, for its class; found: whether any is.
        alarm: whether any of them is the artefact, for whatever class.
        overlap: of the first verified cue of that class (NaN without).
        candidate: of the artefact's first verified cue for its class (None without).
    """
    verified = sorted((cue for cue in cues if cue["verdict"] == "verified"), key=lambda cue: cue["rank"])
    lies = [overlap(cue["exemplars"], truth) for cue in verified]
    hits = [cue["class"] == truth.target and on >= LIES_ON for cue, on in zip(verified, lies, strict=True)]
    right = next((on for cue, on in zip(verified, lies, strict=True) if cue["class"] == truth.target), np.nan)
    return {
        "verified": len(verified),
        "first": bool(hits and hits[0]),
        "found": any(hits),
        "alarm": any(on >= LIES_ON for on in lies),
        "overlap": right,
        "candidate": verified[hits.index(True)]["candidate"] if any(hits) else None,
    }


def ranking(strongest: Sequence[str], images: Sequence[str], truth: Truth) -> dict[str, float]:
    """How well a ranking finds the images that carry the artefact.

    Args:
        strongest: image_ids, the strongest first; those left out come after all others, in no order.
        images: all that could be ranked; others of ``strongest`` are passed over.

    Returns:
        ``p@10`` and ``p@25``: share of those that carry it among so many first (a place that nobody takes is a miss);
        ``ap``: average precision; ``auroc``. NaN where all images carry it or none does.
    """
    place = {name: -k for k, name in enumerate(dict.fromkeys(strongest))}
    carry = np.array([name in truth.boxes for name in images], bool)
    last = -len(place) - 1
    strength = np.array([place.get(name, last) for name in images])
    if carry.all() or not carry.any():
        return dict.fromkeys((*(f"p@{k}" for k in AT), "ap", "auroc"), np.nan)
    first = carry[np.argsort(-strength, kind="stable")][: int((strength > last).sum())]
    found = {f"p@{k}": float(first[:k].sum() / k) for k in AT}
    ap, auroc = average_precision_score(carry, strength), roc_auc_score(carry, strength)
    return {**found, "ap": float(ap), "auroc": float(auroc)}


def of_slices(slices: Sequence[Mapping[str, Any]], images: Sequence[str], truth: Truth) -> dict[str, dict[str, float]]:
    """For each finder its slice of the highest average precision, as Eyuboglu et al. (2022) score finders.

    The best of ten is chosen by the truth, which flatters a finder of many slices; ``listed_ap`` is that of the slice
    which the finder itself puts first.
    """
    found: dict[str, dict[str, float]] = {}
    for each in sorted(slices, key=lambda row: row["found"]):
        own = ranking(each["members"], images, truth)
        best = found.setdefault(each["finder"], {**own, "listed_ap": own["ap"]})
        if own["ap"] > best["ap"]:
            best.update(own)
    return found


def at_random(images: Sequence[str], truth: Truth, seed: int) -> dict[str, float]:
    """What chance gives: the mean over shuffled rankings."""
    rng = np.random.default_rng(seed)
    names = np.array(images, object)
    each = [ranking(rng.permutation(names).tolist(), images, truth) for _ in range(SHUFFLES)]
    found = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    return {**found, "listed_ap": found["ap"]}
