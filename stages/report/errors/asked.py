"""What of a run the page of mistakes is about: which images were explained, how, and what was measured of it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from activation_atlas.stages.methods import METHODS, MethodSpec
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.sources.boxes import columns_of
from activation_atlas.stages.specs import Grown, Spec

MEASURED = ("randomization", "agreement", "road_curves", "trust")
"""Tables that say how far the maps are to be trusted."""


class Explained(Grown, Spec):
    """What of the run was explained: nothing, where there are no methods."""

    newer = frozenset({"boxed", "boxes"})

    select: str = "errors"
    limit: int | None = None
    methods: list[MethodSpec] = Field(default_factory=list)
    targets: list[str] = Field(default_factory=list)
    measured: list[str] = Field(default_factory=list, description="tables that say how far the maps are to be trusted")
    boxed: list[str] = Field(default_factory=list, description="tables of the boxes of maps, and of how good they are")
    boxes: list[str] = Field(default_factory=list, description="columns of the images that hold given boxes")

    @property
    def variants(self) -> list[str]:
        return [m.variant for m in self.methods]

    @property
    def found(self) -> list[str]:
        """The variants whose maps have boxes."""
        return [name for name in self.variants if f"boxes/{name}" in self.boxed]

    @property
    def settled(self) -> list[str]:
        """The variants whose settings for the run say where they look: whose attention, and which block's."""
        return [m.variant for m in self.methods if METHODS[m.name].resolution == "patches"]

    @property
    def reads(self) -> list[str]:
        lost = (f"rejects/explain-{name}" for name in self.variants)
        found = [*(f"maps/{name}" for name in self.variants), *lost, *self.measured, *self.boxed]
        return list(dict.fromkeys(found))


def explained(asked: Sections) -> dict[str, Any] | None:
    """Values of :class:`Explained`; None where nothing is explained."""
    if (section := asked.config.explain) is None:
        return None
    boxed = [name for name in asked.written if name.startswith("boxes/")]
    held = [name for name in asked.written if name.replace("faithfulness/", "boxes/", 1) in boxed]
    return {
        **{name: getattr(section, name) for name in ("limit", "methods", "targets")},
        "select": section.images,
        "measured": [name for name in asked.written if name.partition("/")[0] in MEASURED],
        "boxed": list(dict.fromkeys([*boxed, *held])),
        "boxes": list(columns_of(asked.config.evaluate.boxes)) if asked.config.evaluate else [],
    }
