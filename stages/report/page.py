"""The pages of a run, from templates, with everything escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from activation_atlas.stages.drawing.pages import rendered
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.report import captions, classview, validity
from activation_atlas.stages.report.evidence import Atlas
from activation_atlas.stages.report.score import Score
from activation_atlas.stages.stage import Inputs

SCRIPTS = (
    "data.js", "controls.js", "closer.js", "heat.js", "legend.js", "map.js", "names.js", "findings.js", "panel.js",
    "argues.js", "search.js", "main.js",
)  # fmt: skip
STYLES = ("style.css", "closer.css", "doubts.css", "verdicts.css")


def page(title: str, run: Mapping[str, Any], atlases: Sequence[Atlas], score: Score, facts: Mapping[str, Any]) -> bytes:
    """The run's main page.

    Args:
        run: for the script: atlases, photographs, classes, links.
        facts: for the template: model, posters, about.
    """
    measured = any(atlas.measured for atlas in atlases)
    values = {
        "measured": measured,
        "where": f"Where is a {'quantity' if measured else 'class'} argued for?",
        "atlases": [_facts(a) for a in atlases],
        "drawn": any(grid.has_icons for atlas in atlases for grid in atlas.grids),
        "statistics": classview.NAMES,
        "groups": bool(run.get("groups")),
        "score": score,
        "interval": wilson(score.correct, score.labelled) if score.labelled else None,
        "rejected": sum(r[2] for r in score.rejects),
        **facts,
    }
    return rendered("page.html", title, run, SCRIPTS, STYLES, values)


def doubts(inputs: Inputs) -> list[dict[str, str]]:
    """What says that the whole run cannot be right, for the top of a page: message and remedy of each."""
    return inputs.table("doubts", ["message", "remedy"]).to_pylist() if inputs.parts("doubts") else []


def _facts(atlas: Atlas) -> dict[str, Any]:
    return {
        "name": atlas.name,
        "title": captions.title(atlas),
        "kind": atlas.kind,
        "layer": atlas.view.layer,
        "validity": validity.facts(atlas),
        "metrics": {k: v for k, v in atlas.metrics.items() if isinstance(v, (str, int, float, bool))},
        "grids": [
            {"n": g.n, "cells": len(g), "rows": int(g.count.sum()), "fidelity": captions.faithfulness(g)}
            for g in atlas.grids
        ],
    }


_SECRET = re.compile(
    r"secret|token(?!s$)|password|passwd|credential|api_?key|access_?key|account_?key|^key$", re.IGNORECASE
)


def redacted(value: Any, key: str = "") -> Any:
    """A configuration fit to be shown: credentials hidden, local folders cut."""
    if key == "storage_options" and value:
        return {str(k): "(hidden)" for k in value} if isinstance(value, Mapping) else "(hidden)"
    if _SECRET.search(key) and value not in (None, "", {}, []):
        return "(hidden)"
    if isinstance(value, Mapping):
        return {str(k): redacted(v, str(k)) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(v, key) for v in value]
    if isinstance(value, str):
        value = re.sub(r"(\w://)[^/@\s]+@", r"\1", value)
        # Of a place on one machine, what tells files apart; the rest is nobody's business.
        parts = value.replace("\\", "/").split("/")
        if len(parts) > 3 and re.match(r"/|[A-Za-z]:[\\/]", value):
            return "…/" + "/".join(parts[-2:])
        return value
    return value


def as_yaml(config: Any) -> str:
    import yaml

    return yaml.safe_dump(redacted(config), sort_keys=False, allow_unicode=True, width=100) if config else ""
