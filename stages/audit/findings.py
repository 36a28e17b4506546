"""What the page shows of each cue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.audit.pictures import source
from activation_atlas.stages.intervention import cut, paste

EXEMPLARS, PAIRS = 6, 4
"""Pictures of a cue: its patches in their images, and images before and after."""
KINDS = (
    ("paste", "the cue, where it occurs"),
    ("elsewhere", "the cue, anywhere"),
    ("random", "random patches"),
    ("class", "other patches of the class"),
    ("noise", "noise of its spectrum"),
)


def rates(trials: pa.Table) -> list[dict[str, Any]]:
    """Share of the images that became the class, and mean change of its logit, by what was pasted."""
    found = []
    for kind, words in KINDS:
        own = trials.filter(pc.equal(trials["intervention"], kind))
        if len(own):
            flips = float(np.mean(own["pred_after"].to_numpy() == own["class"].to_numpy()))
            change = float(np.mean(own["logit_after"].to_numpy() - own["logit_before"].to_numpy()))
            found.append({"kind": kind, "words": words, "flips": flips, "change": change})
    return found


SAME = 0.5
"""Overlap of two cues' patches, on average, from which the page says that they may be one."""


def alike(cues: Sequence[Mapping[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """Cues of one class whose patches lie at the same place, by candidate.

    Returns:
        ``candidate`` of each such other; ``overlap``: intersection over union of a patch of the one and a patch of the
        other, mean of all pairs; ``shared``: images that both have an exemplar in.
    """
    found: dict[int, list[dict[str, Any]]] = {}
    for one in cues:
        for other in cues:
            pairs = [(a, b) for a in one["exemplars"] for b in other["exemplars"]]
            if one["candidate"] == other["candidate"] or one["class"] != other["class"] or not pairs:
                continue
            overlap = float(np.mean([_overlap(a, b) for a, b in pairs]))
            if overlap >= SAME:
                shared = len({a["image_id"] for a, b in pairs if a["image_id"] == b["image_id"]})
                same = {"candidate": other["candidate"], "overlap": overlap, "shared": shared}
                found.setdefault(one["candidate"], []).append(same)
    return found


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    tall = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    wide = min(one["right"], other["right"]) - max(one["left"], other["left"])
    both = max(tall, 0) * max(wide, 0)
    areas = sum((rect["bottom"] - rect["top"]) * (rect["right"] - rect["left"]) for rect in (one, other))
    return both / (areas - both)


def wanted(cue: Mapping[str, Any], trials: pa.Table) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The exemplars that are shown, and the pasted rows: of as many that turn as there are, then others, each with
    another patch where that can be."""
    rows = trials.filter(pc.equal(trials["intervention"], "paste")).to_pylist()
    rows.sort(key=lambda row: (row["pred_after"] != row["class"], row["image_id"]))
    first: dict[int, dict[str, Any]] = {}
    for row in rows:
        first.setdefault(row["exemplar"], row)
    pairs = [*first.values(), *(row for row in rows if row not in first.values())][:PAIRS]
    return cue["exemplars"][:EXEMPLARS], pairs


def finding(
    cue: Mapping[str, Any],
    evidence: Mapping[str, Any],
    trials: pa.Table,
    pixels: Mapping[str, np.ndarray],
    classes: Sequence[str],
    labels: Mapping[str, str],
    mistakes: Mapping[str, str],
) -> dict[str, Any]:
    """One cue, for the template.

    Args:
        pixels: images at the model's size, by id.
        labels: what is said of each. mistakes: where the page of mistakes has them, of those that it has.
    """
    shown, pairs = wanted(cue, trials)
    sides = ("top", "left", "bottom", "right")
    exemplars = [
        {
            "src": source(pixels[e["image_id"]], tuple(e[s] for s in sides)),
            "label": labels.get(e["image_id"], ""),
            "href": mistakes.get(e["image_id"]),
        }
        for e in shown
        if e["image_id"] in pixels
    ]
    made = []
    for row in pairs:
        own = cue["exemplars"][row["exemplar"]] if row["exemplar"] < len(cue["exemplars"]) else None
        if own is None or row["image_id"] not in pixels or own["image_id"] not in pixels:
            continue
        rect, host = tuple(row[s] for s in sides), pixels[row["image_id"]]
        patch = cut(pixels[own["image_id"]], tuple(own[s] for s in sides))
        made.append(
            {
                "before": source(host),
                "after": source(paste(host, patch, rect)),
                "was": classes[row["pred_before"]] if row["pred_before"] >= 0 else "",
                "is": classes[row["pred_after"]] if row["pred_after"] >= 0 else "",
                "turned": row["pred_after"] == row["class"],
            }
        )
    return {
        **{name: cue[name] for name in cue if name not in ("exemplars", "cells")},
        "name": classes[cue["class"]],
        "evidence": {k: v for k, v in evidence.items() if k not in ("exemplars", "others", "cells")},
        "cells": len(cue["cells"]),
        "exemplars": exemplars,
        "pairs": made,
        "rates": rates(trials),
    }
