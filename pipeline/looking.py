"""The command ``look``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from activation_atlas.pipeline.options import (
    Antialias,
    ChannelOrder,
    Classes,
    CropShare,
    CropTo,
    Filter,
    InputSize,
    Levels,
    Mean,
    Output,
    Range,
    Std,
    TaskOf,
    Tokens,
)

_PARTS = "filters, maps, attention, channels, classes; default: all it has; may be repeated"


def look(
    model: Annotated[str, typer.Option(metavar="MODEL", help="a .keras or .h5 file, application:NAME, preset:NAME")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where pictures, tables and the page go")],
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE...]", help="files, folders, globs")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="PART", help=_PARTS)] = None,
    filters: Annotated[list[str] | None, typer.Option(metavar="LAYER", help="default: the first that has any")] = None,
    maps: Annotated[list[str] | None, typer.Option(metavar="LAYER", help="default: eight over the depth")] = None,
    layer: Annotated[str | None, typer.Option(help="whose channels are drawn; default: at 2/3 of the depth")] = None,
    channels: Annotated[str | None, typer.Option(metavar="0-63", help="of --layer; default: the first 64")] = None,
    at: Annotated[tuple[int, int] | None, typer.Option(metavar="ROW COL", help="the single neurons there")] = None,
    directions: Annotated[str | None, typer.Option(metavar="FILE", help=".npy, in place of channels")] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option(
            "--class", metavar="CLASS", help="default: the images' most probable, or the first quantities; repeatable"
        ),
    ] = None,
    recipe: Annotated[str, typer.Option(help="mean, icon or textbook: how pictures are drawn")] = "mean",
    size: Annotated[int, typer.Option(help="side of a picture, pixels; of the textbook recipe the model's")] = 96,
    steps: Annotated[int | None, typer.Option(help="of drawing; default: 256, of the textbook's recipe 30")] = None,
    seed: Annotated[int, typer.Option(min=0, help="every random choice follows from it")] = 0,
    scale: Annotated[str, typer.Option(help="of maps: each channel its own, or one of the layer")] = "channel",
    classes: Classes = None,
    value_range: Range = None,
    mean: Mean = None,
    std: Std = None,
    channel_order: ChannelOrder = None,
    output: Output = None,
    task: TaskOf = None,
    input_size: InputSize = None,
    tokens: Tokens = None,
    crop: CropTo = None,
    crop_share: CropShare = None,
    interpolation: Filter = None,
    antialias: Antialias = None,
    levels: Levels = None,
) -> None:
    """What a network has learned and what it sees in images: filters, feature maps, and what makes it answer."""
    from activation_atlas.stages.explain.command import fit_of, levels_of, model_of
    from activation_atlas.stages.look.command import looked

    values = {"range": value_range, "mean": mean, "std": std, "channels": channel_order, "tokens": tokens}
    rejected = looked(
        out,
        typer.echo,
        lambda line: typer.echo(line, err=True),
        images=images or [],
        model=model_of(model, classes=classes, output=output, task=task, input_size=input_size, **values),
        only=only,
        filters=filters,
        maps=maps,
        layer=layer,
        channels=channels,
        at=at,
        directions=directions,
        classes=class_,
        recipe=recipe,
        size=size,
        steps=steps,
        seed=seed,
        scaled=scale,
        levels=levels_of(levels),
        **fit_of(crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias),
    )
    if rejected:
        raise typer.Exit(3)
