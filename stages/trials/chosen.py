"""The images of a trial: drawn part by part, so that few are held however many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from activation_atlas.stages.audited import drawn, first_drawn
from activation_atlas.stages.feed import uris_of
from activation_atlas.stages.halves import priority
from activation_atlas.stages.stage import Inputs, State

SOURCES = 50
"""Images that random patches are cut from."""


@dataclass(frozen=True)
class Drawn:
    """Ids of images, each list in the order in which they were drawn.

    Attributes:
        hosts: held-out images that are neither of the class nor taken for it, for patches to be pasted on.
        sources: images of the searched half, for random patches.
        carriers: held-out images that have the cue, and the position (row, col) where it is.
        uris: of all these and of those asked for besides.
    """

    hosts: list[str]
    sources: list[str]
    carriers: list[tuple[str, int, int]]
    uris: dict[str, str]


def draw(inputs: Inputs, extract: State, cue: dict[str, Any], images: int, seed: int) -> Drawn:
    """The images of one cue's trial, at most ``images`` hosts and half as many carriers."""
    column = list(extract["attributed"]).index(cue["class"])
    salt = int(cue["candidate"]) + 100
    hosts = drawn(inputs, extract, lambda of: of.held & ~of.own[:, column] & ~of.called[:, column], images, seed, salt)
    sources = drawn(inputs, extract, lambda of: ~of.held, SOURCES, seed, salt)
    carriers = _carriers(inputs, cue, max(1, images // 2), seed, salt)
    wanted = [*hosts, *sources, *(own for own, _, _ in carriers)]
    wanted += [own["image_id"] for own in (*cue["exemplars"], *cue["others"])]
    return Drawn(hosts, sources, carriers, uris_of(inputs, dict.fromkeys(wanted)))


def _carriers(inputs: Inputs, cue: dict[str, Any], most: int, seed: int, salt: int) -> list[tuple[str, int, int]]:
    """Held-out images at one of whose positions the cue speaks for the class as its exemplars do: in its cells lie many
    positions that only look like it."""
    kept: list[tuple[int, str, int, int]] = []
    columns = ["image_id", "candidate", "strongest", "row", "col", "held_out"]
    for index, part in enumerate(inputs.stream("spuriosity", columns)):
        mine = pc.and_(pc.equal(part["candidate"], cue["candidate"]), part["held_out"])
        rows = part.filter(pc.and_(mine, pc.fill_null(pc.greater_equal(part["strongest"], cue["typical"]), False)))
        if len(rows):
            about = inputs.part("images", index, ["image_id", "sha256"])
            files = dict(zip(about["image_id"].to_pylist(), about["sha256"].to_pylist(), strict=True))
            ids = rows["image_id"].to_pylist()
            draws = priority([files[own][:16] for own in ids], seed, salt, 1).tolist()
            places = zip(draws, ids, rows["row"].to_pylist(), rows["col"].to_pylist(), strict=True)
            kept = first_drawn([*kept, *places], most)
    return [(own, row, col) for _, own, row, col in kept]
