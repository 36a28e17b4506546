"""images, predictions -> site/textbook: what the network has learned, and what it sees in a few photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec, folder, slug
from activation_atlas.stages.stage import Inputs, Shard, Stage, one_shard

if TYPE_CHECKING:
    from activation_atlas.stages.look.page import Link

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
        None,
        description="whose channels get a picture that makes them answer; default: at two thirds of the depth, or the "
        "nearest of the section `channels`",
    )
    channels: int = Field(64, ge=0, description="channels of it that are drawn, the first; 0: none")
    patches: int = Field(
        64, ge=0, description="photographs looked through for what excites a channel most, where no `peaks` tell of all"
    )
    classes: list[str] | None = Field(
        None,
        description="classes that get a picture; default: the most probable of the photographs; []: none",
    )
    size: int = Field(96, ge=8, description="side of a picture, pixels")
    steps: PositiveInt = Field(256, description="steps in which a picture is drawn")


class Params(Spec):
    """``title``: of the run; ``peaks``: layers that have that table; ``boxed``: methods that have boxes."""

    title: str
    peaks: list[str] = Field(default_factory=list)
    boxed: list[str] = Field(default_factory=list)
    model: OpenedModel
    images: ReadImages
    seed: int
    look: LookSpec


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, bytes]:
    """``site/textbook/index.html``, its pictures as PNG and PDF, and the tables behind them."""
    from activation_atlas.stages.look.attention import attends
    from activation_atlas.stages.look.export import written_of
    from activation_atlas.stages.look.interactive import PARTS, looked_at
    from activation_atlas.stages.look.patches import of_run
    from activation_atlas.stages.look.photographs import read
    from activation_atlas.stages.look.shown import Shown
    from activation_atlas.stages.vision.model import open_model

    asked, model = params.look, open_model(params.model)
    layer = asked.layer or _peaked(model, params.peaks)
    looked_through = 0 if layer in params.peaks else asked.patches
    ids = inputs.table("predictions", ["image_id"])["image_id"].to_pylist()[: max(asked.photographs, looked_through)]
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
        layer=layer,
        channels=None if asked.channels == 64 else range(asked.channels),
        classes=asked.classes,
        size=asked.size,
        steps=asked.steps,
        seed=params.seed,
        patches=shown[:looked_through],
    )
    if layer in params.peaks:
        both = [
            of_run(one, inputs, model, params.images, asked.size, lost) if one.layer == layer else one
            for one in seen.maximised
        ]
        seen = replace(seen, maximised=Shown(both))
    files = written_of(seen, params.title, "../index.html", _others(inputs, params))
    return {f"{FOLDER}/{name}": content for name, content in files.items()}


def _peaked(model: Any, layers: Sequence[str]) -> str | None:
    """Of the layers that the run has peaks of, the one nearest in depth to where pictures are drawn by default."""
    from activation_atlas.stages.vision.responses import deep

    depth = {layer.name: layer.compute for layer in model.layers()}
    middle = depth.get(deep(model) or "", 2 / 3)
    return min(layers, key=lambda name: (abs(depth[name] - middle), name), default=None)


def _others(inputs: Inputs, params: Params) -> list[Link]:
    """What report draws of the run's channels and boxes."""
    from activation_atlas.stages.look.page import Link

    found = [
        Link(f"../../figures/peaks-{slug(folder(layer))}.jpg", f"What excites the channels of {layer}")
        for layer in params.peaks
        if inputs.table(f"peaks/{folder(layer)}", ["channel"]).num_rows
    ]
    if len(params.peaks) > 1:
        found.append(Link("../../figures/sparsity.png", "How sparse the layers are"))
    if params.boxed:
        words = f"Boxes around what maps find, on the sheets of the page of mistakes: {', '.join(params.boxed)}"
        found.append(Link("../errors.html#figures", words))
    return found


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    if asked.config.look is not None:
        boxed = [name.partition("/")[2] for name in asked.written if name.startswith("boxes/")]
        made = {"title": asked.config.run.name, "peaks": asked.counted, "boxed": boxed}
        yield "", {**made, "look": asked.config.look, **asked.opened}


STAGE = Stage(
    name="look",
    version=3,
    about="what the network has learned and sees in a few photographs: filters, feature maps, attention, what it "
    "answers to",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: dict.fromkeys(
        ("images", "predictions", *(f"peaks/{folder(layer)}" for layer in params.peaks)), "all"
    ),
    writes=lambda params: (FOLDER,),
    libraries=("tensorflow", "keras", "numpy", "matplotlib", "pillow", "jinja2"),
    model=True,
    threads=False,
    files=True,
    steps=_steps,
)
