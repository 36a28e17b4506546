"""The scores of one audit, from its run folder, the truth, and images that the audit never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.compute as pc

from activation_atlas import RunFolder, open_run
from activation_atlas.stages.halves import held_out
from activation_atlas.stages.keys import cell
from activation_atlas.stages.tables import to_numpy
from benchmarks.planted.audits import Audit
from benchmarks.planted.effects import Fresh, accuracy, true_effects, turned
from benchmarks.planted.networks import ARCHITECTURES
from benchmarks.planted.scores import Truth, at_random, of_cues, of_slices, ranking, read_truth
from benchmarks.planted.sizes import Case


def scored(audit: Audit, fresh: Fresh) -> dict[str, Any]:
    """All scores of an audit.

    Returns:
        the fields of the case; ``seconds`` of the stages; ``accuracy`` and ``turned`` of fresh images; ``cues``,
        ``rankings``, ``spuriosity`` and ``effects``, as :mod:`scores` and :mod:`effects` say.
    """
    case, run = fresh.case, open_run(audit.run)
    rows = {name: run.table(name, format="arrow").to_pylist() for name in ("cues", "slices", "spuriosity")}
    truth = read_truth(audit.truth, case.target)
    cues = of_cues(rows["cues"], truth)
    first = next((cue for cue in rows["cues"] if cue["candidate"] == cues["candidate"]), None)
    return {
        **dataclasses.asdict(case),
        "seconds": sum(run.record["seconds"].values()),
        "accuracy": accuracy(fresh),
        "turned": turned(fresh),
        "cues": cues,
        "rankings": rankings(run, rows["slices"], first, truth, case),
        "spuriosity": of_spuriosity(rows["spuriosity"], cues["candidate"], truth),
        "effects": true_effects(run, rows["cues"], fresh),
    }


def rankings(
    run: RunFolder, slices: list[dict[str, Any]], cue: Mapping[str, Any] | None, truth: Truth, case: Case
) -> dict[str, dict[str, float]]:
    """How well each finder, the artefact's cue and chance rank held-out images of other classes by the artefact.

    Of the cue: by the sum of attributions for its class over an image's positions in its cells. Who found nothing ranks
    as chance does.
    """
    told = run.table("images", ["image_id", "label", "sha256"], format="arrow")
    others = held_out(told["sha256"].to_pylist(), run.config["run"]["seed"]) & (told["label"].to_numpy() != case.target)
    images = [name for name, other in zip(told["image_id"].to_pylist(), others.tolist(), strict=True) if other]
    by_chance = at_random(images, truth, case.seed)
    found = dict.fromkeys(("cue", *run.config["audit"]["finders"]), by_chance) | of_slices(slices, images, truth)
    if cue is not None:
        strength = dependence(run, cue, ARCHITECTURES[case.architecture].layer)
        own = ranking(sorted(strength, key=lambda name: (-strength[name], name)), images, truth)
        found["cue"] = {**own, "listed_ap": own["ap"]}
    return {**found, "chance": by_chance}


def dependence(run: RunFolder, cue: Mapping[str, Any], layer: str) -> dict[str, float]:
    """Of every image with a position in the cue's cells the sum of the attributions there for its class, in logits."""
    layout = run.table(f"layouts/{cue['atlas']}", format="arrow")
    rows = run.table(f"activations/{layer}", ["image_id", "attribution"], format="arrow")
    if not layout["image_id"].combine_chunks().equals(rows["image_id"].combine_chunks()):
        raise RuntimeError(f"{run.path}: the layout and the activations of {layer} have other rows")
    within = np.zeros(len(rows), bool)
    x, y = (layout[name].to_numpy() for name in "xy")
    for place in cue["cells"]:
        grid = place["grid"]
        within |= (cell(x, grid) == place["cell_x"]) & (cell(y, grid) == place["cell_y"])
    argued = to_numpy(rows["attribution"])[within, cue["class"]].astype(np.float64)
    names = pc.filter(rows["image_id"], within).to_pylist()
    total: dict[str, float] = {}
    for name, value in zip(names, argued.tolist(), strict=True):
        total[name] = total.get(name, 0.0) + value
    return total


def of_spuriosity(rows: list[dict[str, Any]], candidate: int | None, truth: Truth) -> dict[str, float]:
    """How well the cue's own ranking of its class, of the held-out half, tells the images that carry the artefact."""
    own = sorted(
        (row for row in rows if row["candidate"] == candidate and row["held_out"]), key=lambda row: row["place"]
    )
    names = [row["image_id"] for row in own]
    return ranking(names, names, truth)
