"""What came of a repair, in words: what got better, and as plainly what got worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

from activation_atlas.stages.repair.outcome import Row
from activation_atlas.stages.repair.refit import Refit

SHOWN = {
    "all": "images",
    "without": "images without a verified cue",
    "with": "images with the cue",
    "pasted": "images with the cue pasted on",
}


def notes(rows: Sequence[Row], cues: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Iterator[str]:
    """A line for all images, and for each cue."""
    for row in rows:
        if row["class"] is None:
            yield f"repair: {_named(row, cues, classes)}{_right(row)}"


def losses(rows: Sequence[Row], cues: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Iterator[str]:
    """A line for each share that surely fell, over all classes, and of each class without and with a cue."""
    for row in rows:
        told = row["class"] is None or row["shown"] in ("without", "with")
        if told and row["change_high"] < 0:
            of = "" if row["class"] is None else f" labelled {classes[row['class']]}"
            yield f"repair makes worse: {_named(row, cues, classes)}{_right(row, of)}"


def metrics(
    rows: Sequence[Row], made: Refit, cues: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """For the record of the run: shares over all classes, and the penalty that was chosen."""
    told = {
        f"{_named(row, cues, classes)}{row['shown']}": {
            name: None if row[name] is None else round(row[name], 4)
            for name in ("images", "before", "after", "recovered", "taken_before", "taken_after")
        }
        for row in rows
        if row["class"] is None
    }
    return {"cues": len(cues), "penalty": made.penalty if isfinite(made.penalty) else None, **told}


def _named(row: Row, cues: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    if row["candidate"] is None:
        return ""
    (target,) = (cue["class"] for cue in cues if cue["candidate"] == row["candidate"])
    return f"cue {row['candidate']} ({classes[target]}): "


def _right(row: Row, of: str = "") -> str:
    said = f"of {row['images']} {SHOWN[row['shown']]}{of}, {row['before']:.1%} were right and {row['after']:.1%} are"
    if row["reference"] is not None:
        said += f" ({row['reference']:.1%} would be without it)"
    if row["taken_before"] is None:
        return said
    taken = f"{row['taken_before']:.1%} of those of other classes were taken for it and {row['taken_after']:.1%} are"
    return f"{said}; {taken}"
