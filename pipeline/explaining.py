"""The command ``explain``."""

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


def explain(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="files, folders, globs")],
    model: Annotated[str, typer.Option(metavar="MODEL", help="a .keras or .h5 file, application:NAME, preset:NAME")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="where pictures and tables go")],
    method: Annotated[list[str] | None, typer.Option(metavar="NAME", help="default: grad_cam; may be repeated")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="CLASS", help="predicted (default), label, second, rank:K, top:K, a class; repeatable"),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="where the method looks; default: the last with positions")] = None,
    label: Annotated[str | None, typer.Option(metavar="CLASS", help="the class that the images show")] = None,
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
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="of a method, e.g. patch=24")] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="also the box that each map finds, drawn and as CSV")] = False,
    seed: Annotated[int, typer.Option(min=0, help="every random choice follows from it")] = 0,
) -> None:
    """Maps of a few images: an overlay for each class and method, a panel for each image, and the raw maps."""
    from activation_atlas.stages.explain.command import fit_of, levels_of, methods_of, model_of
    from activation_atlas.stages.explain.export import Request, export

    request = Request(
        images=images,
        model=model_of(
            model,
            classes=classes,
            range=value_range,
            output=output,
            task=task,
            input_size=input_size,
            tokens=tokens,
            mean=mean,
            std=std,
            channels=channel_order,
        ),
        methods=methods_of(method or ["grad_cam"], layer, option or []),
        targets=target or ["predicted"],
        label=label,
        seed=seed,
        levels=levels_of(levels),
        **fit_of(crop=crop, crop_share=crop_share, interpolation=interpolation, antialias=antialias),
    )
    explained, rejected = export(request, out, typer.echo, lambda line: typer.echo(line, err=True), boxes)
    if rejected:
        raise typer.Exit(3 if explained else 2)
