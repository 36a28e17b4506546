"""The options and arguments that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

Config = Annotated[str, typer.Argument(metavar="CONFIG", help="a YAML file, or the name of one that ships: demo")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="a run folder")]
Out = Annotated[str | None, typer.Option("--out", metavar="DIR", help="the run folder; overrides run.out")]
Output = Annotated[
    str | None, typer.Option(metavar="WHAT", help="what the model returns: auto (default), logits or probabilities")
]
InputSize = Annotated[int | None, typer.Option(metavar="N", help="where the model leaves it free")]
Tokens = Annotated[
    tuple[int, int] | None,
    typer.Option("--tokens", metavar="ROWS COLUMNS", help="of a transformer's patches, where they are not found"),
]
TaskOf = Annotated[
    str | None, typer.Option("--task", metavar="WHAT", help="auto (one class), labels (several) or quantities")
]
Classes = Annotated[str | None, typer.Option(metavar="FILE", help="class names in index order")]
Range = Annotated[
    tuple[float, float] | None, typer.Option("--range", metavar="LOW HIGH", help="the model's black and white")
]
CropTo = Annotated[str | None, typer.Option(help="center, none or pad; default: the model's own, or center")]
CropShare = Annotated[
    float | None, typer.Option(metavar="SHARE", help="of the middle cut: 0.875 where 256 were cut to 224")
]
Filter = Annotated[str | None, typer.Option(help="bilinear, bicubic, lanczos or nearest")]
Antialias = Annotated[bool | None, typer.Option(help="whether the resizing filter grows with the image")]
Mean = Annotated[tuple[float, float, float] | None, typer.Option(help="taken off the channels: .485 .456 .406")]
Std = Annotated[tuple[float, float, float] | None, typer.Option(help="they are then divided by: .229 .224 .225")]
ChannelOrder = Annotated[str | None, typer.Option(help="of the colours that the model takes: rgb or bgr")]
Levels = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="BLACK WHITE", help="of images of more than 8 bits a channel: 0 4095"),
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="overrides a key: run.seed=1")]
