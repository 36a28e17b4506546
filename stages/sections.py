"""A configuration as the stages read it, each to declare its own steps. A leaf."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from activation_atlas.stages.groups import Given
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, meant
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import task_named


@dataclass(frozen=True)
class Sections:
    """The sections, and what comes of them once for all stages.

    Attributes:
        config: the whole configuration: every section by its name.
        model: its section, with the names of the classes (None: not given) in the place of the file that holds them.
        also: other names of the classes, which labels may have.
        groups: what is said of groups of classes.
        about: how the run was made: configuration and versions.
        written: the tables that the stages before write, in the order of their steps.
        argued: whether there may be attributions: tables in a model's place need not have any.
    """

    config: Any
    model: ModelSpec
    also: list[str] | None = None
    groups: Given | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    written: tuple[str, ...] = ()
    argued: bool = True

    @property
    def images(self) -> ImagesSpec:
        return self.config.images

    @property
    def sampled(self) -> list[str]:
        """Layers whose positions are sampled; sorted, for atlases in another order are the same work."""
        return sorted({*self.config.extract.layers, *(a.layer for a in self.config.atlases if not a.images)})

    @property
    def counted(self) -> list[str]:
        """Layers whose channels are looked at, each by itself, at all positions; none where nobody asks."""
        section = self.config.channels
        return [] if section is None else sorted({*self.sampled, *section.layers})

    @property
    def audited(self) -> Any | None:
        """The atlas whose cells the audit looks at, as its section has it; None where there is no such atlas.

        Raises:
            UserError: `audit.atlas` names none.
        """
        if (section := self.config.audit) is None:
            return None
        named = {atlas.name: atlas for atlas in self.config.atlases}
        if section.atlas is None:
            whole = (a for a in named.values() if not (a.images or a.class_ or a.pair))
            return next(whole, None)
        if section.atlas not in named:
            raise UserError(f"audit.atlas: there is no atlas {section.atlas!r}; {meant(section.atlas, list(named))}")
        return named[section.atlas]

    @property
    def audited_grid(self) -> int | None:
        """Cells along a side of the grid of :attr:`audited` that the audit looks at; None where there is no atlas.

        Raises:
            UserError: the atlas has no such grid.
        """
        if (atlas := self.audited) is None:
            return None
        asked = self.config.audit.grid
        if asked is not None and asked not in atlas.grids:
            has = ", ".join(map(str, atlas.grids))
            raise UserError(f"audit.grid: atlas {atlas.name!r} has no grid {asked}, but {has}")
        return asked or min(atlas.grids, key=lambda side: (abs(side - 20), side))

    @property
    def searched(self) -> Any | None:
        """The atlas that is searched for cues; None where :attr:`unsearched` says why none is."""
        return self.audited if self.unsearched is None else None

    @property
    def unsearched(self) -> str | None:
        """Why no cues are looked for, and what to do; None where they are."""
        if self.measured:
            return "the model's outputs are quantities, and no image is of a class"
        if not self.argued:
            return "model.tables hold no attributions; write them, too"
        if self.config.extract.attribution == "none":
            return "extract.attribution is none; set it to all"
        if (atlas := self.audited) is None:
            return "no atlas shows all activations of a layer; give one, or name another in audit.atlas"
        return f"atlas {atlas.name} shows whole images, and no positions; name another" if atlas.images else None

    @property
    def pooled(self) -> list[str]:
        """Layers whose mean over all positions is stored for each image: of atlases of whole images, and the audit's.

        Tables that stand in a model's place may not have it.
        """
        audited = None if self.config.model.tables else self.audited
        return sorted({*(a.layer for a in self.config.atlases if a.images), *([audited.layer] if audited else [])})

    @property
    def measured(self) -> bool:
        """Whether the model's outputs are quantities: no image is of a class, none is right or wrong."""
        return task_named(self.model.task).measured

    @property
    def opened(self) -> dict[str, Any]:
        """What every stage is given that opens the model and reads images."""
        return {"model": self.model, "images": self.images, "seed": self.config.run.seed}
