"""What a report is made of: the tables of a run as arrays, one record per atlas and grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.drawing.numbers import percent
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs, State, UserError
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import assigned, described, task_of

Member = tuple[str, int, int]
"""image_id, row, col of a position; row = col = -1: the whole image."""


@dataclass
class Grid:
    """The occupied cells of one grid, row by row; all arrays have one entry per cell.

    Attributes:
        n: cells along one side.
        x, y: column from the left and row from the top.
        count, images: rows, and distinct images.
        error_rate: share in [0, 1], NaN where unlabelled. entropy: bits, NaN where unlabelled.
        exemplars: members nearest the cell's mean, best first.
        attribution: (cells, attributed classes) in logits; None where none was asked for.
        argues: per cell, (class index, logits) of its largest mean attributions, best first.
        against: the same of its most negative ones, most negative first.
        labelled: distinct images that have a label; None where not known.
        variety: what ``entropy`` would be of as many images drawn at random from the map: (3, cells) mean, and between
            what 95 % of the draws lie, in bits; None where not known.
        icons: PNG bytes, None where the cell has none.
        fidelity: column name of ``icons`` -> values, NaN where the cell has no icon.
        away: of quantities (2, outputs, cells): mean absolute residual of the cell's photographs, in its unit, and half
            of its 95 % interval; None of classes.
        names: per cell what it may be called, best first; see :mod:`stages.report.names`.
        measured: further columns of ``cells`` over the attributed classes, (cells, attributed classes) each:
            :data:`MEASURED`, those that there are.
    """

    n: int
    x: np.ndarray
    y: np.ndarray
    count: np.ndarray
    images: np.ndarray
    error_rate: np.ndarray
    entropy: np.ndarray
    exemplars: list[list[Member]]
    attribution: np.ndarray | None
    argues: list[list[tuple[int, float]]]
    against: list[list[tuple[int, float]]]
    icons: list[bytes | None]
    fidelity: dict[str, np.ndarray]
    labelled: np.ndarray | None = None
    variety: np.ndarray | None = None
    away: np.ndarray | None = None
    names: list[list[Any]] = field(default_factory=list)
    measured: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def has_icons(self) -> bool:
        return any(icon is not None for icon in self.icons)


@dataclass
class Atlas:
    """One named view and its grids, coarsest first.

    Attributes:
        attributed: class index of each attribution column.
        layer: receptive_field, stride, offset, in pixels of the model's input.
        images: distinct photographs its rows come from; None where not known.
        error_rate: share of its labelled photographs that are misclassified; None where none has a label.
        mae: of quantities (outputs,) the mean absolute residual of its labelled photographs; None where none has one.
        softmax: whether a softmax reads its logits. measured: whether they are quantities, in units of their own.
        several: whether photographs may be of several classes.
        listed: whether each image's likeliest classes alone have attributions.
        statistic: what to show for a class as ``validity`` has it; None where it was not measured.
        over: what it was chosen by: ``classes``, ``groups``, or ``commonest``.
        validity: rows of the table ``validity``.
        purity: what ``purity`` has of the class, or of either class of a pair.
    """

    view: ViewSpec
    min_count: int
    classes: list[str]
    attributed: list[int]
    layer: dict[str, Any]
    input_size: tuple[int, int]
    metrics: dict[str, Any]
    grids: list[Grid] = field(default_factory=list)
    images: int | None = None
    error_rate: float | None = None
    mae: np.ndarray | None = None
    softmax: bool = False
    measured: bool = False
    several: bool = False
    listed: bool = False
    statistic: str | None = None
    validity: list[dict[str, Any]] = field(default_factory=list)
    purity: list[dict[str, Any]] = field(default_factory=list)
    over: str = ""

    @property
    def name(self) -> str:
        return self.view.name

    @property
    def kind(self) -> str:
        if self.view.pair:
            return "pair"
        if self.view.class_ is not None:
            return "class"
        return "images" if self.view.images else "layer"

    @property
    def own_classes(self) -> list[int]:
        """The classes the atlas itself is about: of a class atlas one, of a pair atlas left and right."""
        names = list(self.view.pair) if self.view.pair else [self.view.class_] if self.view.class_ is not None else []
        return [class_index(name, self.classes, f"atlas {self.name!r}") for name in names]

    def label(self, index: int) -> str:
        return self.classes[index] if 0 <= index < len(self.classes) else f"class {index}"


def full_count(grid: Grid, min_count: int) -> float:
    """Rows from which a tile fills its cell: the median of the cells that are drawn."""
    drawn = grid.count[grid.count >= min_count]
    return float(np.median(drawn)) if len(drawn) else 1.0


MEASURED = ("attribution_se", "relative_se", "top_share", "top_share_se")
FIDELITY = ("objective", "cosine", "retrieval_rank", "retrieval_rank_raw", "contrast", "predicted")


def read_atlas(
    inputs: Inputs, view: ViewSpec, grids: Sequence[int], icon_grids: Sequence[int], min_count: int
) -> Atlas:
    """The cells and icons of one atlas.

    Args:
        grids: the grids to read, cells along one side.
        icon_grids: those of them that have icons.
    """
    model = inputs.state("extract", "")
    atlas = Atlas(
        view=view,
        min_count=min_count,
        classes=list(model["classes"]),
        attributed=[int(c) for c in model.get("attributed") or []],
        layer=dict(model.get("layers", {}).get(view.layer, {})),
        input_size=tuple(int(s) for s in model["input_size"]),
        metrics=_metrics(_state(inputs, "reduce", view.name)),
        softmax=model.get("kind") == "softmax",
        measured=model.get("kind") == "quantity",
        listed=bool(model.get("top")),
        statistic=_state(inputs, "validity", view.name).get("statistic"),
        over=_state(inputs, "validity", view.name).get("over") or "",
        purity=list((_state(inputs, "purity", view.name).get("metrics") or {}).get("of") or []),
    )
    table = f"cells/{view.name}"
    if not inputs.parts(table):
        return atlas
    names = inputs.part(table, 0).column_names
    wanted = [c for c in names if c != "activation"]
    cells = inputs.table(table, wanted)
    icons = _icons(inputs, view.name) if icon_grids else {}
    if "attribution" in wanted and len(atlas.attributed) != cells.schema.field("attribution").type.list_size:
        atlas.attributed = list(range(cells.schema.field("attribution").type.list_size))
    for n in grids:
        rows = cells.filter(pc.equal(cells["grid"], pa.scalar(n, cells["grid"].type)))
        if len(rows):
            atlas.grids.append(_grid(n, rows, icons if n in icon_grids else {}, atlas.attributed))
    return atlas


def _metrics(reduced: State) -> dict[str, Any]:
    """A layout's, with how many rows lie in it now and how far those lie that came after it."""
    metrics, told = dict(reduced.get("metrics") or {}), reduced.get("told")
    if told:
        metrics["rows"] = told["rows"]
        far = "" if told["far"] is None else f", {percent(told['far'])} of the new rows lie far from the fitted ones"
        metrics["layout"] = f"kept{far}"
    return metrics


def _state(inputs: Inputs, stage: str, label: str) -> dict[str, Any]:
    """What a stage left; nothing where it did not run."""
    try:
        return inputs.state(stage, label)
    except (KeyError, FileNotFoundError, UserError):
        return {}


def _icons(inputs: Inputs, name: str) -> dict[tuple[int, int, int], dict[str, Any]]:
    found: dict[tuple[int, int, int], dict[str, Any]] = {}
    for part in inputs.stream(f"icons/{name}"):
        for row in part.to_pylist():
            found[row["grid"], row["cell_x"], row["cell_y"]] = row
    return found


def _grid(n: int, rows: pa.Table, icons: dict, attributed: list[int]) -> Grid:
    x, y = (rows[c].to_numpy().astype(int) for c in ("cell_x", "cell_y"))
    order = np.lexsort((x, y))
    rows = rows.take(pa.array(order))
    x, y = x[order], y[order]

    def number(name: str) -> np.ndarray:
        return pc.cast(rows[name], pa.float64()).to_numpy().astype(float)

    attribution, argues, against = None, [[] for _ in x], [[] for _ in x]
    if "attribution" in rows.column_names and attributed:
        attribution = to_numpy(rows["attribution"]).astype(np.float32)
        top = zip(rows["top_classes"].to_pylist(), rows["top_attributions"].to_pylist(), strict=True)
        argues = [[(int(c), float(a)) for c, a in zip(cs or [], vs or [], strict=True)] for cs, vs in top]
        low = np.argsort(attribution, axis=1, kind="stable")[:, :3]
        against = [
            [(attributed[j], float(a[j])) for j in js if a[j] < 0] for js, a in zip(low, attribution, strict=True)
        ]
    drawn = [icons.get((n, int(i), int(j))) for i, j in zip(x, y, strict=True)]
    return Grid(
        n=n,
        x=x,
        y=y,
        count=number("count").astype(int),
        images=number("images").astype(int),
        error_rate=number("error_rate"),
        entropy=number("label_entropy"),
        exemplars=[[(m["image_id"], m["row"], m["col"]) for m in ms or []] for ms in rows["exemplars"].to_pylist()],
        attribution=attribution,
        argues=argues,
        against=against,
        icons=[d["icon"]["bytes"] if d and d["icon"] else None for d in drawn],
        fidelity={k: np.array([np.nan if not d or d[k] is None else d[k] for d in drawn], float) for k in FIDELITY},
        measured={k: to_numpy(rows[k]) for k in MEASURED if k in rows.column_names and attribution is not None},
    )


@dataclass
class Photo:
    """What is known of one photograph: its address, label and prediction (None where unknown); in words where these
    are no single classes."""

    uri: str
    label: int | None = None
    pred: int | None = None
    prob: float | None = None
    said: str | None = None


def read_photos(inputs: Inputs, wanted: set[str]) -> dict[str, Photo]:
    """Address, label and prediction of the wanted images, one part held at a time."""
    ids = pa.array(sorted(wanted), pa.string())
    photos: dict[str, Photo] = {}
    for part in inputs.stream("images", ["image_id", "uri", "label"]):
        part = part.filter(pc.is_in(part["image_id"], ids))
        for row, label in zip(part.to_pylist(), _single(part["label"]), strict=True):
            photos[row["image_id"]] = Photo(row["uri"], label)
    classes = inputs.state("extract", "")["classes"]
    for part in inputs.stream("predictions", ["image_id", "label", "pred", "prob"]):
        part = part.filter(pc.is_in(part["image_id"], ids))
        task = task_of(part.schema.field("pred").type)
        for row, pred in zip(part.to_pylist(), _single(part["pred"]), strict=True):
            if (photo := photos.get(row["image_id"])) is not None:
                photo.pred, photo.prob = pred, row["prob"]
                photo.said = described(row["label"], row["pred"], classes, task)
    return photos


def _single(column: pa.ChunkedArray) -> list[int | None]:
    """The class of each image that is of one, else None."""
    return [index if index >= 0 else None for index in assigned(column).only.tolist()]
