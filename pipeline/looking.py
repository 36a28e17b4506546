"""The command ``look``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from activation_atlas.pipeline.options import Classes, CropTo, InputSize, Levels, Output, Range

_PARTS = "filters, maps; default: all; may be repeated"


def look(
    model: Annotated[str, typer.Option(metavar="MODEL", help="a .keras or .h5 file, application:NAME, preset:NAME")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where pictures, tables and the page go")],
    images: Annotated[list[str] | None, typer.Argument(metavar="[IMAGE...]", help="files, folders, globs")] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="PART", help=_PARTS)] = None,
    filters: Annotated[list[str] | None, typer.Option(metavar="LAYER", help="default: the first that has any")] = None,
    maps: Annotated[list[str] | None, typer.Option(metavar="LAYER", help="default: eight over the depth")] = None,
    scale: Annotated[str, typer.Option(help="of maps: each channel its own, or one of the layer")] = "channel",
    classes: Classes = None,
    value_range: Range = None,
    output: Output = None,
    input_size: InputSize = None,
    crop: CropTo = "center",
    levels: Levels = None,
) -> None:
    """What a network has learned and what it sees in images: filters, feature maps; as pictures and as tables."""
    from activation_atlas.stages.explain.command import crop_of, levels_of, model_of
    from activation_atlas.stages.look.command import looked

    rejected = looked(
        out,
        typer.echo,
        lambda line: typer.echo(line, err=True),
        images=images or [],
        model=model_of(model, classes=classes, range=value_range, output=output, input_size=input_size),
        only=only,
        filters=filters,
        maps=maps,
        scaled=scale,
        crop=crop_of(crop),
        levels=levels_of(levels),
    )
    if rejected:
        raise typer.Exit(3)
