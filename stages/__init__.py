"""The stages, in running order: the table of contents of the project."""

from __future__ import annotations

from importlib import import_module

from activation_atlas.stages.stage import Stage

ORDER = (
    "index",
    "extract",
    "doubt",
    "measures",
    "channels",
    "reduce",
    "purity",
    "grid",
    "attribute",
    "names",
    "validity",
    "moments",
    "render",
    "explain",
    "boxes",
    "evaluate",
    "sanity",
    "subgroups",
    "slices",
    "evidence",
    "spuriosity",
    "trials",
    "cues",
    "placements",
    "concepts",
    "repair",
    "repaired",
    "audit",
    "look",
    "report",
)


def stage(name: str) -> Stage:
    """The record of one stage; imports its file only."""
    return import_module(f"activation_atlas.stages.{name}").STAGE
