"""The scores of one audit, from its run folder, the truth, and images that the audit never saw."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from activation_atlas import RunFolder, image_id, open_run
from activation_atlas.stages.halves import held_out
from benchmarks.planted.audits import Audit
from benchmarks.planted.data import read
from benchmarks.planted.effects import Fresh, accuracy, true_effects, turned
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
    pixels, _ = read(audit.photographs)
    shown = {image_id(f"{audit.photographs.name}#{k}"): one for k, one in enumerate(pixels)}
    own = by_dependence(rows["spuriosity"], cues["candidate"], own=True)
    return {
        **dataclasses.asdict(case),
        "seconds": sum(run.record["seconds"].values()),
        "accuracy": accuracy(fresh),
        "turned": turned(fresh),
        "cues": cues,
        "rankings": rankings(run, rows, cues["candidate"], truth, case),
        "spuriosity": ranking(own, own, truth),
        "effects": true_effects(run, rows["cues"], shown, fresh),
    }


def rankings(
    run: RunFolder, rows: Mapping[str, list[dict[str, Any]]], candidate: int | None, truth: Truth, case: Case
) -> dict[str, dict[str, float]]:
    """How well each finder, the artefact's cue and chance rank held-out images of other classes by the artefact.

    Who found nothing ranks as chance does.
    """
    told = run.table("images", ["image_id", "label", "sha256"], format="arrow")
    others = held_out(told["sha256"].to_pylist(), run.config["run"]["seed"]) & (told["label"].to_numpy() != case.target)
    images = [name for name, other in zip(told["image_id"].to_pylist(), others.tolist(), strict=True) if other]
    by_chance = at_random(images, truth, case.seed)
    found = dict.fromkeys(("cue", *run.config["audit"]["finders"]), by_chance) | of_slices(
        rows["slices"], images, truth
    )
    if candidate is not None:
        own = ranking(by_dependence(rows["spuriosity"], candidate, own=False), images, truth)
        found["cue"] = {**own, "listed_ap": own["ap"]}
    return {**found, "chance": by_chance}


def by_dependence(spuriosity: Iterable[Mapping[str, Any]], candidate: int | None, own: bool) -> list[str]:
    """Held-out images of the cue's class (``own``) or of others, those that depend most on the cue first."""
    mine = [r for r in spuriosity if r["candidate"] == candidate and r["held_out"] and r["own"] == own]
    return [row["image_id"] for row in sorted(mine, key=lambda row: (-row["dependence"], row["image_id"]))]
