"""evidence + trials -> cues: which candidates are shortcuts, which are not, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages import tables
from activation_atlas.stages.cues.verdict import CONTROLLED, FEWEST, missing, needed, pasted, removed, verdict
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.significance import bh
from activation_atlas.stages.specs import Spec
from activation_atlas.stages.stage import Inputs, Stage, State, one_shard
from activation_atlas.stages.stage import Shard as Shard
from activation_atlas.stages.tables import PATCH_FIELDS, VERDICTS

ENDS = 4
"""Accuracy is compared between the first and the last of so many parts of a class's images, by dependence."""


class Params(Spec):
    """Everything the verdicts depend on."""

    least: float
    tried: bool
    seed: int = 0


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if asked.searched is not None:
        section = asked.config.audit
        yield "", {"least": section.least, "tried": "trials" in asked.written, "seed": asked.config.run.seed}


def fit(inputs: Inputs, params: Params) -> State:
    """All verdicts.

    Returns:
        rows: of the table, in order; metrics: how many of each verdict.
    """
    evidence = inputs.table("evidence")
    found = [_found(inputs, params, cue) for cue in evidence.filter(evidence["tested"]).to_pylist()]
    q_values = bh(np.array([row.get("p_value", np.nan) for row in found], np.float64))
    for row, q in zip(found, q_values.tolist(), strict=True):
        row["q_value"] = q if np.isfinite(q) else None
        row["verdict"] = verdict(row, q, params.least)
        if row["verdict"] == "undecided" and "lacks" in row:
            row["about"] = row["lacks"]
        if row["verdict"] == "undecided" and row.get("gap") is not None and "lacks" not in row:
            row["needed"] = needed(row, params.least)
            if row["needed"] is None:
                row["about"] = missing(row, params.least)
    found.sort(key=lambda row: (VERDICTS.index(row["verdict"]), row["candidate"]))
    _tell(inputs, found)
    counts = {name: sum(row["verdict"] == name for row in found) for name in VERDICTS}
    return {"rows": [{"rank": k, **row} for k, row in enumerate(found)], "metrics": counts}


def _found(inputs: Inputs, params: Params, cue: dict[str, Any]) -> dict[str, Any]:
    """One candidate: what its trial gave."""
    own = {name: cue[name] for name in ("candidate", "class", "origin", "atlas", "cells", "suspicion")}
    own |= _ends(inputs, cue)
    if not params.tried:
        return {**own, "images": 0, "exemplars": [], "about": "there is no network to try it on"}
    part = cue["candidate"]
    trials, patches = inputs.part("trials", part), inputs.part("patches", part)
    exemplars = [{name: row[name] for name in PATCH_FIELDS} for row in patches.to_pylist()]
    seed = params.seed + 1000 * part
    found = own | pasted(trials, params.least, seed) | removed(trials, seed) | {"exemplars": exemplars}
    if (p := found.pop("removal_p", None)) is not None and "tests" in found:
        found["tests"]["removal"] = p
        found["p_value"] = max(found["p_value"], p)
    if found["images"] < FEWEST:
        short = f"{found['images']} held-out images that are neither of the class nor taken for it; {FEWEST} are needed"
        found["about"] = short if exemplars else "none of its exemplars can be read"
    return found


def _ends(inputs: Inputs, cue: dict[str, Any]) -> dict[str, Any]:
    """Accuracy on the class's held-out images that depend on the cue least, and most, a quarter of them each."""
    dependence, correct = [], []
    for part in inputs.stream("spuriosity", ["candidate", "dependence", "own", "held_out", "correct"]):
        mine = part.filter(
            pc.and_(pc.equal(part["candidate"], cue["candidate"]), pc.and_(part["own"], part["held_out"]))
        )
        mine = mine.filter(pc.is_valid(mine["correct"]))
        dependence.append(mine["dependence"].to_numpy())
        correct.append(mine["correct"].to_numpy(zero_copy_only=False).astype(bool))
    order = np.argsort(np.concatenate(dependence), kind="stable")
    right, some = np.concatenate(correct)[order], len(order) // ENDS
    if not some:
        return {}
    return {"typical_accuracy": float(right[:some].mean()), "dependent_accuracy": float(right[-some:].mean())}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """What ``fit`` found, as a table."""
    return {"cues": pa.Table.from_pylist(inputs.state()["rows"], schema=tables.cues())}


def _tell(inputs: Inputs, rows: list[dict[str, Any]]) -> None:
    """What came of each in words; a line for each verified cue, and one for how many there are of the others."""
    classes = inputs.state("extract", "")["classes"]
    for row in rows:
        if row.get("control") is not None:
            own = ", of its own images," if row["origin"] == "own" else ""
            head = f"cue {row['candidate']} of {classes[row['class']]}{own} is {row['verdict']}"
            row["text"] = f"{head}: {told(row, classes)}"
        if row["verdict"] == "verified":
            inputs.note(row["text"])
    others = {name: sum(row["verdict"] == name for row in rows) for name in VERDICTS[1:]}
    inputs.note("cues: " + ", ".join(f"{count} {name}" for name, count in others.items()))


def told(row: dict[str, Any], classes: list[str]) -> str:
    """What pasting a cue does, and taking it out, in one sentence."""
    name = classes[row["class"]]
    said = (
        f"pasted on {row['images']} images of other classes its {len(row['exemplars'])} patches raise the logit of "
        f"{name} by {row['effect']:.1f} [{row['low']:.1f}, {row['high']:.1f}], and {row['flip_rate']:.1%} become "
        f"{name} ({row['control_rate']:.1%} with the strongest control, {CONTROLLED[row['control']]})"
    )
    if row.get("removal") is None:
        return f"{said}; it could not be taken out of enough images ({row['carriers']})"
    interval = f"[{row['removal_low']:.1f}, {row['removal_high']:.1f}]"
    return (
        f"{said}; taken out of {row['carriers']} that have it, the logit falls by {row['removal']:.1f} {interval} more"
    )


def _fit_reads(params: Params) -> tuple[str, ...]:
    return ("evidence", "spuriosity", *(("trials", "patches") if params.tried else ()))


STAGE = Stage(
    name="cues",
    version=5,
    about="which candidates are shortcuts, which are not, and how sure that is",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {},
    writes=lambda params: ("cues",),
    fit=fit,
    fit_reads=_fit_reads,
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy", "scipy"),
    steps=_steps,
)
