"""images, predictions -> site/textbook: what the network has learned, and what it sees in a few photographs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, one_shard

FOLDER = "site/textbook"


class LookSpec(Spec):
    """What is drawn for the textbook's page; an empty section, `look: {}`, draws everything by default."""

    filters: list[str] = Field(
        default_factory=list, description="layers whose learned filters are drawn; default: the first that has any"
    )
    maps: list[str] = Field(
        default_factory=list, description="layers whose every channel is drawn; default: eight, evenly over the depth"
    )
    photographs: PositiveInt = Field(2, description="photographs whose feature maps are drawn, the first by their ids")
    layer: str | None = Field(
        None, description="whose channels get a picture that makes them answer; default: at two thirds of the depth"
    )
    channels: int = Field(64, ge=0, description="channels of it that are drawn, the first; 0: none")
    patches: int = Field(64, ge=0, description="photographs looked through for what excites a channel most")
    classes: list[str] | None = Field(
        None, description="classes that get a picture; default: the most probable of the photographs; []: none"
    )
    size: int = Field(96, ge=8, description="side of a picture, pixels")
    steps: PositiveInt = Field(256, description="steps in which a picture is drawn")


class Params(Spec):
    """``title``: of the run."""

    title: str
    model: OpenedModel
    images: ReadImages
    seed: int
    look: LookSpec


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, bytes]:
    """``site/textbook/index.html``, its pictures as PNG and PDF, and the tables behind them."""
    from activation_atlas.stages.look.attention import attends
    from activation_atlas.stages.look.export import written_of
    from activation_atlas.stages.look.interactive import PARTS, looked_at
    from activation_atlas.stages.look.photographs import read
    from activation_atlas.stages.vision.model import open_model

    asked, model = params.look, open_model(params.model)
    ids = inputs.table("predictions", ["image_id"])["image_id"].to_pylist()[: max(asked.photographs, asked.patches)]
    rows = inputs.table("images", ["image_id", "uri"])
    where = dict(zip(rows["image_id"].to_pylist(), rows["uri"].to_pylist(), strict=True))

    def lost(uri: str, reason: str) -> None:
        inputs.warn(f"look: {uri} could not be read again and is left out: {reason}")

    shown = read({i: where[i] for i in ids}, model, params.images, lost)
    seen = looked_at(
        params.model,
        shown[: asked.photographs],
        only=[part for part in PARTS if {"channels": asked.channels, "attention": attends(model)}.get(part, True)],
        filters=asked.filters or None,
        maps=asked.maps or None,
        layer=asked.layer,
        channels=None if asked.channels == 64 else range(asked.channels),
        classes=asked.classes,
        size=asked.size,
        steps=asked.steps,
        seed=params.seed,
        patches=shown[: asked.patches],
    )
    return {f"{FOLDER}/{name}": content for name, content in written_of(seen, params.title, "../index.html").items()}


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if asked.config.look is not None:
        yield "", {"title": asked.config.run.name, "look": asked.config.look, **asked.opened}


STAGE = Stage(
    name="look",
    version=2,
    about="what the network has learned and sees in a few photographs: filters, feature maps, attention, what it "
    "answers to",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {"images": "all", "predictions": "all"},
    writes=lambda params: (FOLDER,),
    libraries=("tensorflow", "keras", "numpy", "matplotlib", "pillow", "jinja2"),
    model=True,
    threads=False,
    files=True,
    steps=_steps,
)
