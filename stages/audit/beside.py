"""What the page says of concepts and of a repair, which are there only where they were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from activation_atlas.stages.audit.chosen import named

CLASSES = 12
"""Classes that are shown of a concept, at most."""
LISTED = 10
"""Changes that are listed of a repair, at most, of each kind."""
SURE = 0.05
FEW = 20
"""Images below which a change is told as so many of so many."""
SHOWN = {
    "all": "all images",
    "without": "images without a verified cue",
    "with": "images that show it",
    "pasted": "images it is pasted on",
}


def concepts(
    rows: Sequence[Mapping[str, Any]], effects: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Each with its effects: surely the largest first.

    Args:
        rows: of the table `concepts`. effects: of `concept_effects`.
    """
    found = []
    for k, row in enumerate(rows):
        own = [each for each in effects if each["concept"] == row["concept"]]
        told = [each for each in own if each["score"] is not None or each["effect"] is not None]
        told.sort(key=lambda each: (not _sure(each), -abs(each["effect"] or 0), each["class"]))
        shown = [{**each, "name": classes[each["class"]], "sure": _sure(each)} for each in told[:CLASSES]]
        untold = sorted({each["about"] for each in own if each["about"] and each not in told})
        found.append(
            {
                **{name: row[name] for name in row if name not in ("direction", "cells", "along")},
                "id": f"concept-{k}",
                "cells": len(row["cells"]),
                "effects": shown,
                "more": len(told) - len(shown),
                "surely": [each["name"] for each in shown if each["sure"]],
                "untold": untold,
                "flips": any(each["flip_rate"] is not None for each in shown),
            }
        )
    return found


def _sure(effect: Mapping[str, Any]) -> bool:
    return effect["q_value"] is not None and effect["q_value"] < SURE


def _few(row: Mapping[str, Any]) -> bool:
    """Such a change may be the largest and says the least."""
    return row["images"] is not None and row["images"] < FEW


def repair(
    rows: Sequence[Mapping[str, Any]], cues: Sequence[Mapping[str, Any]], classes: Sequence[str], written: bool
) -> dict[str, Any]:
    """Before and after, and what surely changed for better and for worse.

    Args:
        rows: of the table `repair`. written: whether there is a new model.

    Returns:
        ``rows`` over all classes; ``worse``, ``better``: changes whose interval lies on one side of 0, the largest
        first; ``more``: how many of either are not listed; ``cues``: how many are verified; ``written``.
    """
    names = {cue["candidate"]: named(cue, classes) for cue in cues}
    whole, changes = [], []
    for row in rows:
        cue = row["candidate"]
        shown = {**row, "what": SHOWN[row["shown"]], "cue": None if cue is None else names[cue]}
        if row["class"] is None:
            whole.append(shown)
        if row["class"] is None or row["shown"] in ("without", "with"):
            changes.append({**shown, "phrase": _phrase(shown, classes)})
    whole.sort(key=lambda row: (row["candidate"] is not None, row["candidate"] or 0, list(SHOWN).index(row["shown"])))
    worse = sorted((row for row in changes if row["change_high"] < 0), key=lambda row: (_few(row), row["change"]))
    better = sorted((row for row in changes if row["change_low"] > 0), key=lambda row: (_few(row), -row["change"]))
    return {
        "rows": whole,
        "worse": worse[:LISTED],
        "better": better[:LISTED],
        "more": {"worse": len(worse[LISTED:]), "better": len(better[LISTED:])},
        "cues": sum(cue["verdict"] == "verified" for cue in cues),
        "written": written,
    }


def _phrase(row: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Which images a change is of."""
    labelled = "" if row["class"] is None else f" labelled {classes[row['class']]}"
    ends = {"all": "", "without": " without a verified cue", "with": f" that show {row['cue']}"}
    return f"images{labelled}" + ends.get(row["shown"], f" with {row['cue']} pasted on")
