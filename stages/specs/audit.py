"""The section ``audit`` of a configuration, which several stages share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from activation_atlas.stages.specs.spec import PositiveInt, Spec

FinderName = Literal["confusion", "highest_loss", "planespot", "domino", "cells", "spray"]


class ConceptSpec(Spec):
    """A concept of the user's: images with it, and images without."""

    name: str = Field(description="what the concept is called")
    with_: str = Field(alias="with", description="folder of images that show it")
    without: str = Field(description="folder of images that do not")


class AuditSpec(Spec):
    """Where the model fails, what it leans on, and how sure that is."""

    atlas: str | None = Field(
        None,
        description="the atlas whose cells are looked at; default: the first that shows all activations of a layer",
    )
    grid: PositiveInt | None = Field(None, description="cells along its side; default: of its grids the one nearest 20")
    groups: list[str] | None = Field(
        None, description="metadata columns whose groups are compared; default: all that can be"
    )
    intersections: bool = Field(True, description="groups by two columns at once, too")
    finders: list[FinderName] = Field(
        default=["confusion", "highest_loss", "planespot", "domino", "cells", "spray"],
        description="which finders of slices are asked; spray needs `explain`",
    )
    slices: PositiveInt = Field(10, description="slices kept of each finder")
    candidates: PositiveInt = Field(20, description="cues that are put to the test, the most suspicious first")
    exemplars: PositiveInt = Field(10, description="patches of a cue that are pasted")
    images: PositiveInt = Field(200, description="images that a cue is pasted on, or taken out of")
    least: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="a cue is verified when it surely turns at least so much more of the images than any control does, "
        "and refuted when it surely turns less",
    )
    concepts: list[ConceptSpec] = Field(default_factory=list, description="concepts of yours, as folders of images")
    repair: bool = Field(False, description="fit the last layer anew without the verified cues, and write that model")
    batch: PositiveInt = Field(64, description="images in one forward pass")

    @field_validator("finders", "groups")
    @classmethod
    def _once(cls, names: list[str] | None) -> list[str] | None:
        twice = sorted({name for name in names or () if (names or []).count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is given twice; name it once")
        return names

    @model_validator(mode="after")
    def _named_once(self) -> AuditSpec:
        names = [concept.name for concept in self.concepts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"concepts: {twice[0]} is given twice; names must differ")
        return self
