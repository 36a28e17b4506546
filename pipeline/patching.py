"""The command ``patch``, and the function behind it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activation_atlas.pipeline.options import Folder
from activation_atlas.stages.stage import UserError

if TYPE_CHECKING:
    from activation_atlas.stages.adversarial import Patched


def patch_of(
    folder: str | os.PathLike[str],
    from_: str,
    to: str,
    *,
    atlas: str | None = None,
    grid: int | None = None,
    images: int = 100,
    batch: int = 64,
    seed: int = 0,
    storage_options: dict[str, Any] | None = None,
) -> Patched:
    """A patch that makes a run's model take images of one class for another, and how often it does.

    The atlas proposes: cells where images of other classes speak for ``to`` against ``from_``. What is cut out there is
    pasted into corners of images of ``from_``; patch, size and corner are chosen on one half of the images, and the
    figures are of the other, beside noise and parts of other images.

    Args:
        folder: of a finished run with attributions.
        from_: a class by its name or number, a group of ``classes.groups``, or ``any``: all other classes. to: a class.
        atlas: default: the first that shows all activations of a layer. grid: default: its finest.
        images: of either half, at most.
        storage_options: for fsspec, where the photographs lie on a remote store.

    Raises:
        UserError: no such class, atlas or grid, no attributions, or too few images; one line.
    """
    from activation_atlas.pipeline.config import load
    from activation_atlas.pipeline.inputs import StoreInputs
    from activation_atlas.pipeline.results import open_run
    from activation_atlas.pipeline.steps import sections
    from activation_atlas.pipeline.store import Store
    from activation_atlas.stages.adversarial import patch_run

    run = open_run(folder)
    if not run.config:
        raise UserError(f"{folder}: no run.json says which model it is of; run it again")
    asked = sections(load(run.config))
    if asked.config.model.tables:
        raise UserError(f"{folder}: its tables stand in a model's place, and there is none to try a patch on")
    chosen = _atlas(asked.config.atlases, atlas, folder)
    if grid is not None and grid not in chosen.grids:
        raise UserError(f"--grid: atlas {chosen.name!r} has no grid {grid}, but {', '.join(map(str, chosen.grids))}")
    listed = asked.images.model_copy(update={"storage_options": storage_options or {}})
    inputs = StoreInputs(Store(run.path), "", "")
    at, ways = (chosen.view, grid or max(chosen.grids)), (from_, to)
    return patch_run(inputs, asked.model, listed, *at, *ways, groups=asked.groups, count=images, batch=batch, seed=seed)


def _atlas(atlases: list[Any], name: str | None, folder: str | os.PathLike[str]) -> Any:
    able = [atlas for atlas in atlases if not (atlas.images or atlas.class_ or atlas.pair)]
    found = next((atlas for atlas in able if name in (None, atlas.name)), None)
    if found is None:
        have = f"; there are {', '.join(a.name for a in able)}" if able else ""
        which = "no atlas" if name is None else f"no atlas {name!r}"
        raise UserError(f"{folder}: {which} that shows all activations of a layer{have}")
    return found


def patch(
    folder: Folder,
    from_: Annotated[str, typer.Option("--from", metavar="CLASS", help="a class, a group of classes.groups, or any")],
    to: Annotated[str, typer.Option("--to", metavar="CLASS", help="the class that the images are to become")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="where the figure goes, PNG or PDF")] = None,
    atlas: Annotated[str | None, typer.Option(help="default: the first of all activations of a layer")] = None,
    grid: Annotated[int | None, typer.Option(help="cells along a side; default: the atlas's finest")] = None,
    images: Annotated[int, typer.Option(min=5, help="to choose on, and as many others to try on, at most")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="images in one pass")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="every random choice follows from it")] = 0,
) -> None:
    """A patch that turns images of one class into another, as the atlas proposes it, and how often it does."""
    if out is not None and out.suffix.lower() not in (".png", ".pdf"):
        raise UserError(f"--out {out}: give a .png or .pdf file")
    found = patch_of(folder, from_, to, atlas=atlas, grid=grid, images=images, batch=batch, seed=seed)
    for line in found.lines():
        typer.echo(line)
    if out is not None:
        sheet = found.sheet
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(sheet.png() if out.suffix.lower() == ".png" else sheet.vector("pdf"))
        typer.echo(f"wrote {out}")
