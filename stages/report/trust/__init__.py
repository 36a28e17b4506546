"""How far the maps are to be believed: shuffled models, agreement of methods, deletion and insertion, on one sheet.

``trust_figure(trust, agreement, randomization, curves, model)`` takes the tables of these names as the run wrote them,
and is None where they say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from activation_atlas.stages.drawing.sheet import QUIET, Sheet
from activation_atlas.stages.report.trust.lines import above_legend, forgetting, matrix, removal
from activation_atlas.stages.report.trust.measured import GAP, MARGIN, MEASURES, RANDOM, columns, draw_table
from activation_atlas.stages.report.trust.measured import number as number

WIDTH, SECOND = 1900, 900
"""Of the sheet, and from one drawing to the one beside it."""

STEP = 278
"""What a sheet of more than five measures is wider by for each."""


def trust_figure(
    trust: pa.Table | None,
    agreement: pa.Table | None,
    randomization: Mapping[str, pa.Table],
    curves: pa.Table | None = None,
    model: str = "",
) -> Sheet | None:
    """The sheet.

    Args:
        trust: of it, the predicted class is shown, or the first kind of target where that was not asked for.
        agreement: None, or empty, where there is one variant.
        randomization: by variant; of random maps too.
        curves: ``road_curves``; None where ROAD was not asked for.
        model: its name, for the heading.
    """
    means = trust.to_pylist() if trust is not None else []
    pairs = agreement.to_pylist() if agreement is not None else []
    forgot = {name: table.to_pylist() for name, table in sorted(randomization.items()) if len(table)}
    cascades = {name: rows for name, rows in forgot.items() if name not in RANDOM}
    if not (means or pairs or cascades):
        return None
    kind = shown_kind(means)
    shown = {(row["variant"], row["measure"]): row for row in means if row["kind"] == kind}
    named = {row["variant"] for row in means} | {row[k] for row in pairs for k in ("variant", "other")} | {*cascades}
    names = sorted(named - RANDOM.keys())
    pairs = pairs if len(names) > 1 else []
    heads = columns([m for m in MEASURES if any((name, m[0]) in shown for name in names)], cascades)
    chance = {name: forgot[name] for name in RANDOM if name in forgot}
    removed = _removed(curves, names, kind)
    side = 520 if cascades or pairs else 0
    legend = above_legend(cascades) + 30 * -(-(len(cascades) + len(chance)) // 2) if cascades else 0
    top = 240
    below = top + (side + max(legend, 200) + (100 if removed else 60) if side else 0)
    table_top = below + (560 + 30 * -(-len(removed) // 4) if removed else 0)
    beside = [name for name in RANDOM if name in forgot or any(name == variant for variant, _ in shown)]
    lines = len(names) + len(beside)
    more = 27 * -(-sum(name in names and bool(row["left_out"]) for (name, _), row in shown.items()) // 3)
    wide = WIDTH + STEP * max(0, len(heads) - 5)
    sheet = Sheet(wide, table_top + (94 + GAP * lines + 150 + more if heads else 0))
    sheet.text(MARGIN, 92, "How far the maps are to be believed", 46, "semibold")
    about = f"{len(names)} {'method' if len(names) == 1 else 'methods'}" + (f" on {model}" if model else "")
    sheet.text(MARGIN, 130, sheet.fitted(about, 24, WIDTH - 2 * MARGIN), 24, color=QUIET)
    if cascades:
        forgetting(sheet, cascades, chance, names, MARGIN + 60, top, side)
    if pairs:
        matrix(sheet, pairs, names, MARGIN + (SECOND if cascades else 0), top, 580)
    if removed:
        removal(sheet, removed, names, kind, (MARGIN + 60, MARGIN + 60 + SECOND), below)
    if heads:
        draw_table(sheet, shown, forgot, [*names, *beside], heads, kind, table_top)
    return sheet


def _removed(curves: pa.Table | None, names: Sequence[str], kind: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of ``road_curves`` by variant, of one kind of target; methods first."""
    rows = [row for row in curves.to_pylist() if row["kind"] == kind] if curves is not None else []
    of = {name: [row for row in rows if row["variant"] == name] for name in (*names, *RANDOM)}
    return {name: own for name, own in of.items() if own}


def shown_kind(means: Sequence[Mapping[str, Any]]) -> str:
    """The kind of target that is shown of rows of ``trust``: the predicted class, or else the first there is."""
    kinds = sorted({row["kind"] for row in means})
    return "predicted" if "predicted" in kinds else kinds[0] if kinds else ""
