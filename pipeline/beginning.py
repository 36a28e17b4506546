"""The command ``init``."""

from __future__ import annotations

from typing import Annotated

import typer

from activation_atlas.pipeline.options import Classes, InputSize, Output, TaskOf, Tokens


def init(
    model: Annotated[str, typer.Option(metavar="MODEL", help="a .keras or .h5 file, application:NAME, preset:NAME")],
    images: Annotated[str, typer.Option(metavar="PATH", help="a folder, a table of paths, Parquet, any fsspec URL")],
    out: Annotated[str, typer.Option(metavar="FILE", help="must not exist")] = "mine.yaml",
    labels: Annotated[str | None, typer.Option(metavar="FILE", help="CSV or Parquet of paths and labels")] = None,
    classes: Classes = None,
    output: Output = None,
    task: TaskOf = None,
    input_size: InputSize = None,
    tokens: Tokens = None,
) -> None:
    """Writes a commented configuration for a model and images that runs as it is: values and cut are tried."""
    from activation_atlas.pipeline.init import init as begin
    from activation_atlas.stages.explain.command import model_of

    spec = model_of(model, classes=classes, output=output, task=task, input_size=input_size, tokens=tokens)
    begun = begin(spec, images, out, labels=labels, say=lambda line: typer.echo(line, err=True))
    for line in (*begun.found, *([begun.cost] if begun.cost else [])):
        typer.echo(f"  {line}")
    typer.echo(f"wrote {begun.path}: read it, then activation-atlas run {begun.path}")
