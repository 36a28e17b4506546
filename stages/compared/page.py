"""What came of a comparison, as files: a page, a figure and tables."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from activation_atlas.stages.compared import wording
from activation_atlas.stages.compared.described import COLUMNS
from activation_atlas.stages.compared.figure import drawn
from activation_atlas.stages.compared.population import SURE
from activation_atlas.stages.drawing.pages import rendered
from activation_atlas.stages.drawing.sheet import encoded

if TYPE_CHECKING:
    from activation_atlas.stages.compared import Compared, Photograph

SIDE = 112
"""Pixels of a photograph's shorter side on the page."""
CELLS, LOST, SETS = 12, 24, 40
"""Cells, images and sets of a kind that the page shows; the tables have all."""


def written(found: Compared, photograph: Photograph) -> dict[str, bytes]:
    """File name to content. The same comparison gives the same bytes."""
    sheet = drawn(found)
    files = {f"{name}.parquet": _parquet(table) for name, table in found.tables.items()}
    files |= {"compare.png": sheet.png(), "compare.pdf": sheet.vector("pdf"), "compare.json": _record(found)}
    tables = {name: table.to_pylist() for name, table in found.tables.items()}
    sets = {
        kind: [row for row in tables["sets"] if row["kind"] == kind] for kind in ("shared", "class", "group", "slice")
    }
    more = {kind: max(0, len(rows) - SETS) for kind, rows in sets.items()}
    sets = {kind: _surest(rows) for kind, rows in sets.items()}
    values = {
        "found": found,
        "wording": wording,
        "whole": tables["sets"][0],
        "worse": found.worse,
        "sets": sets,
        "more": more,
        "argued": any(row["argued_change"] is not None for row in tables["sets"]),
        "cells": _cells(found, photograph),
        "cues": tables.get("cues"),
        "links": _links(found),
        "images": _images(tables.get("images", []), photograph),
        "turned": len(tables.get("images", [])),
        "figure": _embedded(files["compare.png"]),
        "size": (sheet.width, sheet.height),
        "columns": {name: COLUMNS[name] for name in tables},
        "sure": SURE,
    }
    title = f"{found.names[0]} → {found.names[1]}"
    styles = ("style.css", "audit.css", "compare.css")
    return {**files, "compare.html": rendered("compare.html", title, {}, (), styles, values)}


def _surest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All in their order, or those that have changed most surely, where they are many."""
    if len(rows) <= SETS:
        return rows
    return sorted(rows, key=lambda row: 2.0 if row["p_value"] is None else row["p_value"])[:SETS]


def _parquet(table: Any) -> bytes:
    out = BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _record(found: Compared) -> bytes:
    """What a script reads: the sentences, and the figures of the whole."""
    whole = found.tables["sets"].slice(0, 1).to_pylist()[0]
    values: dict[str, Any] = {
        "runs": list(found.names), "images": list(found.images), "shared": found.shared, "changed": found.changed,
        "whole": whole, "worse": found.worse, "shifted": found.shifted, "notes": list(found.notes),
    }  # fmt: skip
    if found.population is not None:
        p = found.population.p_value
        states = ("grew", "shrank", "appeared", "emptied", "same")
        values["cells"] = {state: found.population.count(state) for state in states}
        values["cells"]["p_value"] = None if np.isnan(p) else p
    if found.alike is not None:
        values["alike"] = {k: None if v != v else v for k, v in vars(found.alike).items()}
    return (json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _cells(found: Compared, photograph: Photograph) -> list[dict[str, Any]]:
    """Cells that have surely changed, the surest first, with photographs of the run that has more."""
    if found.population is None:
        return []
    rows = found.population.table.to_pylist()
    order = sorted(found.population.examples, key=lambda k: (rows[k]["p_value"], k))[:CELLS]
    shown = []
    for k in order:
        which, ids = found.population.examples[k]
        shown.append({**rows[k], "of": found.names[which], "pictures": _pictures(which, ids, photograph)})
    return shown


def _pictures(which: int, ids: list[str], photograph: Photograph) -> list[str]:
    return [src for src in (_source(photograph(which, own)) for own in ids) if src]


def _images(rows: list[dict[str, Any]], photograph: Photograph) -> list[dict[str, Any]]:
    """The first images whose prediction changed, as the table has them."""
    return [{**row, "src": _source(photograph(0, row["image_id"]))} for row in rows[:LOST]]


def _source(image: Any) -> str | None:
    """A data URI of a photograph, enlarged by whole pixels or shrunk."""
    if image is None:
        return None
    times = max(1, -(-SIDE // min(image.size)))
    if times > 1:
        image = image.resize((image.width * times, image.height * times), 0)
    image.thumbnail((2 * SIDE, 2 * SIDE))
    content = base64.b64encode(encoded(np.asarray(image), "JPEG")).decode("ascii")
    return f"data:image/jpeg;base64,{content}"


def _embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _links(found: Compared) -> dict[str, float] | None:
    """How well cells of the first atlas are found in the second."""
    if "links" not in found.tables:
        return None
    table = found.tables["links"]
    jaccard, lift = (table[name].to_numpy() for name in ("jaccard", "lift"))
    return {"cells": len(table), "jaccard": float(np.median(jaccard)), "lift": float(np.median(lift))}
