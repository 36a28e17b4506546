"""The command ``parity``."""

from __future__ import annotations

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


def parity(
    model: Annotated[str, typer.Option(metavar="MODEL", help="a .keras or .h5 file, application:NAME, preset:NAME")],
    images: Annotated[str, typer.Option(metavar="PATH", help="a folder, a table of paths, Parquet, any fsspec URL")],
    outputs: Annotated[
        str, typer.Option(metavar="FILE", help="of the other program: .npy in the order of the paths, CSV or Parquet")
    ],
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
    """Holds a model's outputs against those of the program it was converted from, and names what sets them apart.

    Exit status 2 where they do not agree.
    """
    from activation_atlas.stages.doubt.parity import parity as held
    from activation_atlas.stages.explain.command import fit_of, levels_of, model_of

    values = {"range": value_range, "mean": mean, "std": std, "channels": channel_order, "tokens": tokens}
    spec = model_of(model, classes=classes, output=output, task=task, input_size=input_size, **values)
    cut = fit_of(crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias)
    section = {"path": images, "levels": levels_of(levels), **cut}
    compared = held(spec, section, outputs, say=lambda line: typer.echo(line, err=True))
    for line in compared.lines():
        typer.echo(line)
    if not compared.agrees:
        raise typer.Exit(2)
