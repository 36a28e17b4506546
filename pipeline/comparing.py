"""The command ``compare``, and the function behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activation_atlas.stages.stage import UserError

if TYPE_CHECKING:
    from activation_atlas.pipeline.store import Store
    from activation_atlas.stages.compared import Compared, Given, Layouts
    from activation_atlas.stages.specs import ViewSpec
    from activation_atlas.stages.stage import Inputs

FAIL_ON = ("worse", "shifted")
_ELSEWHERE = ("params.attribution", "params.layers", "params.features", "params.model.classes", "params.seed")
"""What of ``extract`` changes no activation."""


def compare_runs(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    atlas: str | None = None,
    grid: int | None = None,
    margin: float = 0.0,
) -> Compared:
    """Two runs: of new data, or of a new version of a model.

    Runs of one model are seen over the first one's layout, by which the rows of the second are placed. Of two models
    each keeps its own, and the images that both have seen link them.

    Args:
        first: a run folder, what is compared with. second: another, what may have changed.
        atlas: in both; default: the first of the first run that shows all activations of a layer.
        grid: cells along a side; default: the atlas's finest up to 64.
        margin: by how much a share may fall that counts as no worse, in [0, 1).

    Raises:
        UserError: no such run, atlas or grid, or runs whose cells or images cannot be compared; one line.
    """
    from activation_atlas.pipeline.inputs import StoreInputs
    from activation_atlas.pipeline.results import open_run
    from activation_atlas.pipeline.store import Store
    from activation_atlas.stages.compared import compared, pairs, read_run

    if not 0 <= margin < 1:
        raise UserError(f"--margin {margin:g}: give a share from 0 to below 1, as 0.01")
    folders = [open_run(folder).path for folder in (first, second)]
    if folders[0].resolve() == folders[1].resolve():
        raise UserError(f"{second}: both are one run folder; give another")
    stores = [Store(folder) for folder in folders]
    inputs = [StoreInputs(store, "", "") for store in stores]
    names = _names(folders)
    runs = [read_run(name, own) for name, own in zip(names, inputs, strict=True)]
    shared = pairs(*runs)
    if not len(shared) and runs[0].classes != runs[1].classes:
        raise UserError(f"{second}: it has other classes than {first}, and no image of it; nothing can be compared")
    found = [_given(run, folder, atlas, grid) for run, folder in zip(runs, folders, strict=True)]
    notes, placed = [f"{folder}: its run is not finished" for folder in folders if not open_run(folder).finished], None
    differs = _differs(*stores)
    if found[0].view is None or found[1].view is None:
        notes.append("cells are not compared: not both runs have an atlas of all activations of a layer")
    elif differs or found[0].view != found[1].view:
        why = differs or "their atlases are of different layers"
        notes.append(f"cells are not compared one for one, each run keeps its own layout: {why}")
        if not len(shared):
            notes.append("the atlases are not linked: no image is in both runs")
    else:
        view = found[0].view
        if not inputs[1].parts(view.rows_table):
            raise UserError(
                f"{second}: no activations of layer {view.layer}; run it with that atlas, or choose --atlas"
            )
        placed = _placed(stores[0], inputs, view)
        notes.append("both runs are of one model: what differs is its images")
    return compared(
        found[0], found[1], shared, placed=placed, positions=_one_map(inputs, found), margin=margin, notes=notes
    )


def _names(folders: list[Path]) -> list[str]:
    """What two runs are called: their folders' names, with what lies above where these are the same."""
    one, two = ([*folder.resolve().parts] for folder in folders)
    for depth in range(1, max(len(one), len(two)) + 1):
        names = ["/".join(parts[-depth:]) for parts in (one, two)]
        if names[0] != names[1]:
            return names
    return [str(folder) for folder in folders]


def _given(run: Any, folder: Path, atlas: str | None, grid: int | None) -> Given:
    """A run with its atlas, where it has one.

    Raises:
        UserError: a named atlas or grid that it does not have.
    """
    from activation_atlas.pipeline.results import open_run
    from activation_atlas.stages.compared import Given
    from activation_atlas.stages.specs import ViewSpec

    able = [a for a in open_run(folder).atlases.values() if a.class_name is None and a.pair is None]
    chosen = next((a for a in able if a.name == atlas or (atlas is None and not a.images)), None)
    if chosen is None:
        if atlas is not None:
            have = f"; there are {', '.join(a.name for a in able)}" if able else ""
            raise UserError(f"{folder}: no atlas {atlas!r} that shows all activations of a layer{have}")
        return Given(run)
    if grid is not None and grid not in chosen.grids:
        raise UserError(f"--grid: atlas {chosen.name!r} has no grid {grid}, but {', '.join(map(str, chosen.grids))}")
    side = grid or max([g for g in chosen.grids if g <= 64] or [min(chosen.grids)])
    view = ViewSpec(name=chosen.name, layer=chosen.layer, images=chosen.images)
    table = f"layouts/{view.name}"
    layouts = (lambda: run.inputs.stream(table)) if run.inputs.parts(table) else None
    return Given(run, view, side, layouts)


def _differs(first: Store, second: Store) -> str:
    """Why activations of two runs cannot lie in one layout; "" where they can."""
    found = [store.state_footer("extract", "") for store in (first, second)]
    if found[0] is None or found[1] is None:
        return "one of the runs has no record of its model"
    one, two = ({k: v for k, v in footer[0].items() if k not in _ELSEWHERE} for footer in found if footer)
    if one.get("model") != two.get("model"):
        return "the models differ"
    keys = [k for k in sorted({*one, *two}) if k.startswith(("params.", "input ")) and one.get(k) != two.get(k)]
    if keys:
        return f"one model reads its images in two ways ({', '.join(k.removeprefix('params.') for k in keys[:3])})"
    return ""


def _placed(store: Store, inputs: list[Any], view: ViewSpec) -> tuple[Layouts, Layouts]:
    """The rows of both runs by the first one's layout, part by part, all placed alike."""
    from activation_atlas.pipeline.results import open_run
    from activation_atlas.stages.reduce.borrowed import placed_alike

    asked = next(a for a in open_run(store.root).config["atlases"] if a["name"] == view.name)
    metric, state = asked["reduce"]["metric"], inputs[0].state("reduce", view.name)
    one, two = (partial(placed_alike, own, view, metric, state) for own in inputs)
    return one, two


def _one_map(inputs: Sequence[Inputs], found: list[Given]) -> bool:
    """Whether a place in the one layer's map is the same place in the other's."""
    if any(given.view is None or given.view.images for given in found):
        return False
    maps = [
        own.state("extract", "")["layers"].get(given.view.layer, {})
        for own, given in zip(inputs, found, strict=True)
        if given.view is not None
    ]
    return all("height" in m for m in maps) and all(maps[0][k] == maps[1][k] for k in ("height", "width"))


def _photographs(*folders: str) -> Callable[[int, str], Any]:
    """What reads a photograph of either run; None where it cannot be read any more."""
    from activation_atlas.pipeline.results import open_run

    runs = [open_run(folder) for folder in folders]

    def photograph(which: int, image_id: str) -> Any:
        try:
            return runs[which].image(image_id)
        except UserError:
            return None

    return photograph


def compare(
    first: Annotated[str, typer.Argument(metavar="RUN", help="a run folder: what is compared with")],
    second: Annotated[str, typer.Argument(metavar="RUN", help="another: what may have changed")],
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="for the page, the figure and the tables")] = None,
    atlas: Annotated[str | None, typer.Option(help="in both; default: the first of all activations of a layer")] = None,
    grid: Annotated[int | None, typer.Option(help="cells along a side; default: the atlas's finest up to 64")] = None,
    margin: Annotated[float, typer.Option(metavar="SHARE", help="how far an accuracy may fall: 0.01 is a point")] = 0.0,
    fail_on: Annotated[
        str | None, typer.Option(metavar="WHAT", help="worse or shifted: exit status 4 where something surely is")
    ] = None,
) -> None:
    """What has changed from one run to another: data, predictions, accuracy, and what the model leans on."""
    if fail_on is not None and fail_on not in FAIL_ON:
        raise UserError(f"--fail-on {fail_on}: choose {' or '.join(FAIL_ON)}")
    if out is not None:
        from activation_atlas.stages.compared import check_folder

        check_folder(out)
    found = compare_runs(first, second, atlas=atlas, grid=grid, margin=margin)
    for line in found.lines():
        typer.echo(line)
    if out is not None:
        found.write(out, _photographs(first, second))
        typer.echo(f"open {(out / 'compare.html').resolve()}")
    failed = {"worse": found.worse, "shifted": found.shifted}.get(fail_on or "", [])
    for line in failed:
        typer.echo(f"--fail-on {fail_on}: {line}", err=True)
    if failed:
        raise typer.Exit(4)
