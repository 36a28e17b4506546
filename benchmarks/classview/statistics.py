"""What is shown of a cell, against where photographs lie: every statistic of the cells' table, by group or class."""

from __future__ import annotations

from typing import Any

import numpy as np

from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.validity.photographs import Photographs
from activation_atlas.stages.validity.telling import WORDS
from benchmarks.classview.networks import Kept, table


def judge(kept: Kept) -> dict[str, Any]:
    """Prints the statistics of one run beside each other; the one its state says to show in bold."""
    of = {key: row for row in kept.inputs.table(f"validity/{kept.view.name}").to_pylist() if (key := _key(kept, row))}
    cooler = _cooler(kept)
    chosen = kept.inputs.state()["statistic"]
    names = list(kept.groups) if kept.grouped else ["classes"]
    statistics = [name for name in WORDS if (name, names[0]) in of]
    print(f"\n{kept.network.about}; evidence: {kept.evidence}")
    print("correlation (95 % interval of what it would be of very many photographs); lift of the warmest cells;")
    print("share of classes whose warmest cell holds fewer of the photographs than the average cell")
    rows = []
    for statistic in statistics:
        cells = []
        for name in names:
            row = of[statistic, name]
            cells.append(f"{_two(row['correlation'])} ({_two(row['low'])} to {_two(row['high'])}); {_two(row['lift'])}")
        rows.append([WORDS[statistic], *cells, f"{cooler[statistic]:.0%}"])
    table(["statistic", *names, "cooler"], rows, statistics.index(chosen) if chosen in statistics else None)
    figures = {f"{s}, {n}": {k: of[s, n][k] for k in _FIGURES} for s in statistics for n in names}
    return {"evidence": kept.evidence, "chosen": chosen, "figures": figures, "cooler": cooler}


_FIGURES = ("correlation", "low", "high", "lift", "lift_low", "lift_high", "classes", "photographs")


def _key(kept: Kept, row: dict[str, Any]) -> tuple[str, str] | None:
    """Statistic and column of a row that the table shows."""
    if row["grid"] != kept.network.side:
        return None
    if kept.grouped:
        return (row["statistic"], row["group"]) if row["group"] is not None else None
    return (row["statistic"], "classes") if row["kind"] == "predicted" and row["class"] is None else None


def _two(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cooler(kept: Kept) -> dict[str, float]:
    """Share of the classes whose warmest cell holds fewer of the photographs (of the class, or its group) than the
    average cell."""
    inputs, view, side = kept.inputs, kept.view, kept.network.side
    cells = inputs.table(f"cells/{view.name}").combine_chunks()
    whole = Photographs.of(inputs, view, grids := Grids(cells))
    level = next(each for each in grids.levels if cells["grid"][int(each.of[0])].as_py() == side)
    own = cells.take(level.of)
    enough = own["count"].to_numpy() >= kept.config.atlases[0].min_count
    heats = {"mean": to_numpy(own["attribution"]), "top_share": to_numpy(own["top_share"])}
    heats["relative"] = heats["mean"] - heats["mean"].mean(1, keepdims=True)
    column = {int(index): k for k, index in enumerate(kept.extract["attributed"])}
    found: dict[str, list[bool]] = {name: [] for name in heats}
    for classes in kept.groups.values():
        mine = whole.pred.of(*classes)[whole.owner]
        share = np.bincount(level.parent[whole.cell], whole.rows * mine, len(level.of)) / own["count"].to_numpy()
        for name, heat in heats.items():
            for k in (column[c] for c in classes if c in column):
                warm = heat[enough, k] == heat[enough, k].max()  # of several as warm the mean
                found[name].append(bool(share[enough][warm].mean() < share[enough].mean()))
    return {name: float(np.mean(each)) for name, each in found.items()}
