"""Which activations an atlas shows, and what it and its layer are called in a run folder."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from activation_atlas.stages.specs.spec import PositiveInt, Spec


class ViewSpec(Spec):
    """Which activations belong to an atlas; the default is all of a layer."""

    name: str = Field(description="what the atlas is called; it names folders")
    layer: str = Field(description="a layer that `activation-atlas layers MODEL` lists")
    images: bool = Field(False, description="one row per image: spatially pooled features")
    class_: str | None = Field(None, alias="class", description="only activations that argue for this class")
    keep: Literal["winner", "top"] = Field(
        "top",
        description="of a class: the `rows` that argue for it most and most clearly beside the other classes, or all "
        "that argue for it above all others",
    )
    pair: tuple[str, str] | None = Field(None, description="two classes: what argues for one against the other")
    rows: PositiveInt = Field(1000, description="of a class with keep: top, or of each of a pair: how many activations")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _one_filter(self) -> ViewSpec:
        if sum((self.class_ is not None, self.pair is not None, self.images)) > 1:
            raise ValueError("give at most one of class, pair, images")
        return self

    @property
    def rows_table(self) -> str:
        """The table this view's vectors come from."""
        return ("features/" if self.images else "activations/") + folder(self.layer)

    @property
    def vector_column(self) -> str:
        """The column of :attr:`rows_table` that holds the vector."""
        return "features" if self.images else "activation"


def folder(layer: str) -> str:
    """A layer's path as a folder name: ``/`` becomes ``__``."""
    return layer.replace("/", "__")


def slug(name: str) -> str:
    """A name as part of a file name: ASCII letters, digits, ``.``, ``_`` and ``-``; never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "atlas"
