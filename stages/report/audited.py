"""What an audit found, as the explorer marks it and the page of mistakes says it of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.stage import Inputs

AUDIT = "site/audit.html"
"""The page that the stage audit writes."""


@dataclass(frozen=True)
class Audited:
    """What the stage audit has decided to show.

    Attributes:
        headline: two texts for the main page.
        found: what can be marked on an atlas, each with ``id`` (its place on the page of the audit), ``words``,
            ``badge`` (verdict, slice or concept), ``class``, ``atlas`` and ``cells``.
        cues: the verified ones: ``candidate``, ``words``, ``typical``.
        mistakes: ids that the page leads to.
    """

    headline: tuple[str, str]
    found: list[dict[str, Any]] = field(default_factory=list)
    cues: list[dict[str, Any]] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def read_audited(inputs: Inputs) -> Audited:
    state = inputs.state("audit", "")
    value, note = state["headline"]
    return Audited((value, note), state["found"], state["cues"], state["mistakes"])


def carried(inputs: Inputs, audited: Audited, ids: Sequence[str]) -> dict[str, list[int]]:
    """Of images the verified cues that they show as clearly as the exemplars do, by candidate."""
    wanted, found = pa.array(sorted(set(ids)), pa.string()), {}
    if not audited.cues:
        return {}
    for part in inputs.stream("spuriosity", ["image_id", "candidate", "strongest"]):
        some = part.filter(pc.is_in(part["image_id"], value_set=wanted))
        for cue in audited.cues:
            if cue["typical"] is not None:
                shows = pc.fill_null(pc.greater_equal(some["strongest"], cue["typical"]), False)
                own = some.filter(pc.and_(pc.equal(some["candidate"], cue["candidate"]), shows))
                for image_id in own["image_id"].to_pylist():
                    found.setdefault(image_id, []).append(cue["candidate"])
    return found
