"""A first configuration, from a model and images alone: what can be tried is tried, and said beside each line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activation_atlas.pipeline.commands import plan
from activation_atlas.pipeline.init.choosing import grids_for, layers_for
from activation_atlas.pipeline.init.writing import Found, findings, written
from activation_atlas.stages.classes import classes_of
from activation_atlas.stages.origin import model_spec
from activation_atlas.stages.sources import Source, open_source
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import assigned, task_of

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

__all__ = ["Begun", "init"]


@dataclass(frozen=True)
class Begun:
    """A configuration that was written.

    Attributes:
        path: of the file.
        found: what was found, one line each.
        cost: what a run of it has to do, counted, in one line.
    """

    path: Path
    found: tuple[str, ...]
    cost: str | None


def init(
    model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str],
    images: str | os.PathLike[str],
    out: str | os.PathLike[str] = "mine.yaml",
    *,
    labels: str | os.PathLike[str] | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Begun:
    """Writes a commented configuration that runs as it is.

    The values that the model takes, the order of its classes and the cut of the images are tried on some of the
    images, where these have labels; without, what the model tells apart is a hint and no proof, and the file says so.

    Args:
        model: a file, ``application:NAME``, ``preset:NAME``, or a section `model` with more said: what is said of
            its values is kept.
        images: as ``images.path`` takes them.
        out: the file, which must not exist.
        labels: as ``images.labels`` takes them.
        say: told what is under way.

    Raises:
        UserError: the file is there, no such model or images, or they cannot be used; one line.
    """
    from activation_atlas.stages.doubt.proposal import propose
    from activation_atlas.stages.vision.model import open_model

    path = Path(out)
    if path.exists():
        raise UserError(f"{path} is there already, and stays as it is; give another name with --out")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it, or give another --out")
    spec = _absolute(model_spec(model))
    asked = ImagesSpec(path=_whole(os.fspath(images)), labels=None if labels is None else _whole(os.fspath(labels)))
    say(f"opening {spec.path or spec.application or spec.preset}")
    opened = open_model(spec)
    source, asked, unmatched = _listed(asked, spec, opened)
    say(f"trying it on some of {source.listing.num_rows:,} images")
    tried = propose(opened, asked, source)
    count = source.listing.num_rows
    found = Found(
        model=spec,
        opened=opened,
        images=asked,
        count=count,
        unmatched=unmatched,
        numbered=bool(source.classes) and spec.classes is None,
        tried=tried,
        layers=layers_for(opened.layers()),
        grids=grids_for(count),
    )
    text = written(found, path)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); give another --out") from None
    return Begun(path, tuple(findings(found)), plan(path).cost)


def _listed(asked: ImagesSpec, spec: ModelSpec, opened: Model) -> tuple[Source, ImagesSpec, str]:
    """The images; where their labels cannot be the model's classes, without them, and why."""
    known = classes_of(spec.classes)
    names, also = (None, None) if known is None else (known.names, known.also)
    source = open_source(asked, names, also=also, task=spec.task)
    label, count, wrong = source.listing["label"], len(opened.classes), ""
    task = task_of(label.type)
    if task.measured:
        return source, asked, ""
    if names is None and source.classes and spec.path is None:
        wrong = "they are names, and nothing says which class of the model each is"
    elif names is None and source.classes and len(source.classes) != count:
        given = f"{len(source.classes)} class{'' if len(source.classes) == 1 else 'es'}"
        wrong = f"{source.labelled_by} give {given}, and the model has {count}"
    elif any(not 0 <= k < count for k in assigned(label).index.tolist()):
        wrong = f"some are none of the model's {count} classes"
    if not wrong:
        return source, asked, ""
    without = asked.model_copy(update={"label_column": "none", "labels": None})
    return open_source(without, names, also=also), without, wrong


def _absolute(spec: ModelSpec) -> ModelSpec:
    own = {key: _whole(value) for key in ("path", "classes") if isinstance(value := getattr(spec, key), str)}
    return spec.model_copy(update=own)


def _whole(path: str) -> str:
    return path if "://" in path or path.startswith("demo:") else os.path.abspath(os.path.expanduser(path))
