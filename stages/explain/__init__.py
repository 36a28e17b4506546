"""images -> maps: for a class of an image, what in the image speaks for it; one variant (a method) at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from activation_atlas.stages import tables
from activation_atlas.stages.explain.asked import check_asked
from activation_atlas.stages.explain.configured import chosen_for, looks, warnings
from activation_atlas.stages.explain.cost import cost
from activation_atlas.stages.explain.given import fitting, regions, stamp, whose, with_size
from activation_atlas.stages.explain.said import known, told
from activation_atlas.stages.explain.selection import frame, hidden, select, worst_first
from activation_atlas.stages.explain.targets import resolve
from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.methods import METHODS, MethodSpec
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import OpenedModel, PositiveInt, ReadImages, Spec, Texts
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, UserError, aligned_shards
from activation_atlas.stages.tables.flags import flag_of
from activation_atlas.stages.tasks import labelled, task_named, task_of
from activation_atlas.stages.vision.images import Fit
from activation_atlas.stages.vision.place import Place


class ExplainSpec(Spec):
    """Which images are explained, how, and for which classes."""

    images: str = Field("errors", description='all, errors, or a query, e.g. label == "horse" and not correct')
    limit: PositiveInt | None = Field(
        None, description="at most so many of them: errors first, the most confident first; default: all of them"
    )
    methods: list[MethodSpec] = Field(
        default=["grad_cam"], min_length=1, validate_default=True, description="a name, or {name: ..., options}"
    )
    targets: Texts = Field(
        default=["predicted", "label"],
        min_length=1,
        description="predicted, label, missed, false, second, rank:K, top:K, or a class's name",
    )
    batch: PositiveInt = Field(32, description="images in one forward pass")

    @model_validator(mode="after")
    def _distinct(self) -> ExplainSpec:
        # Folders of macOS and Windows do not tell Fine from fine.
        names = [m.variant.casefold() for m in self.methods]
        twice = sorted({m.variant for m in self.methods if names.count(m.variant.casefold()) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is used twice; give one of them a name of its own: as: {twice[0]}_2")
        return self


class Params(Spec):
    """Everything one variant's maps depend on."""

    model: OpenedModel
    images: ReadImages
    seed: int = 0
    select: str
    limit: int | None = None
    method: MethodSpec
    targets: list[str]
    masks_stamp: str | None = None
    batch: PositiveInt = Field(32, exclude=True)


def _steps(asked: Sections) -> list[tuple[str, dict[str, Any]]]:
    if (section := asked.config.explain) is None:
        return []
    common = {name: getattr(section, name) for name in ("limit", "targets", "batch")} | asked.opened
    return [
        (m.variant, {"select": section.images, "method": m, "masks_stamp": stamp(m), **common}) for m in section.methods
    ]


def fit(inputs: Inputs, params: Params) -> State:
    """Decides what holds for every image, before any shard.

    Returns:
        settled: how the method is configured (layer, height, width, and more), under the name that finished runs have
        it by; background: uint8 (m, h, w, c), seeded sample of the images, where the method asks for one; chosen: ids
        of the images where ``limit`` is given; regions: image id to path of its label image, where the method is given
        segments, of those that have one.

    Raises:
        UserError: the model cannot be explained this way, or no image is chosen.
    """
    from activation_atlas.stages.vision.model import open_model

    classes = inputs.state("extract", "")["classes"]
    images, predictions = inputs.table("images"), known(inputs, ranked=params.limit is not None)
    data = frame(images, predictions, classes)
    chosen = np.flatnonzero(select(params.select, data))
    for name in hidden(params.select, data):
        inputs.warn(f"explain.images: {name} is the run's own; the column {name} of the source is called `meta.{name}`")
    if not len(chosen):
        raise UserError(
            f"explain.images: {params.select} chooses none of {len(data)} images{_why_none(params, predictions)}"
        )
    bare = int((~labelled(predictions["label"])[chosen]).sum())
    if set(params.targets) == {"label"} and bare == len(chosen):
        raise UserError("explain.targets: label, but no chosen image has one; give labels, or another target")
    if set(params.targets) == {"label"} and bare:
        inputs.note(f"explain.targets: label: {bare} of {len(chosen)} chosen images have none, and get no map")
    if params.limit is not None:
        order = worst_first(data)
        chosen = np.sort(order[np.isin(order, chosen)][: params.limit])
    model, method = open_model(params.model), METHODS[params.method.name]
    feed = Feed(params.images, at_size(params.images.settled(model.brings), model.input_size, model.channels))
    uris = data["uri"].to_numpy()

    def drawn(count: int) -> np.ndarray:
        # By rank of a draw that belongs to each image: one more image changes at most one of them.
        draws = [np.random.default_rng([params.seed, int(i, 16)]).random() for i in data["image_id"]]
        return _first(feed, uris[np.argsort(draws, kind="stable")], count)

    sample = drawn if method.learn else lambda count: _first(feed, uris[chosen], count)
    configured = method.configure(model, params.method, sample)
    about = {"method": method.name, "source": method.source, **chosen_for(params.method, configured)}
    about |= params.method.measured(configured)
    state: State = {"settled": configured, "metrics": about}
    if words := looks(params.method, configured):
        inputs.note(words)
    for words in warnings(params.method, configured):
        inputs.warn(words)
    if params.limit is not None:
        state["chosen"] = data["image_id"].to_numpy(str)[chosen].tolist()
    if METHODS[params.method.name].regions(params.method):
        state["regions"] = whose(inputs, params.method, data, chosen)
    if count := method.background(params.method):
        state["background"] = drawn(count)
        if (found := len(state["background"])) < count:
            inputs.note(f"{params.method.variant}: a background of {found} images, all that can be read of {count}")
    return state


def _why_none(params: Params, predictions: pa.Table) -> str:
    if params.select == "errors" and not labelled(predictions["correct"]).any():
        return ": none has a label; give labels, or explain.images: all"
    return "; explain.images: all explains every one"


def _first(feed: Feed[np.ndarray], uris: Sequence[str], count: int) -> np.ndarray:
    """The first ``count`` readable images at the model's size, uint8 (<= count, h, w, c)."""
    images = feed.first(dict(enumerate(uris[: 2 * count + 8])), count)
    if not images:
        raise UserError("explain: none of the chosen images can be read again; are they still where they were?")
    return np.stack(list(images.values()))


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """The maps of the chosen images of one part: a row for each image and class."""
    from activation_atlas.stages.vision.attribution.methods import explainer

    state, extract = inputs.state(), inputs.state("extract", "")
    classes, configured = extract["classes"], state["settled"]
    images, predictions = inputs.part("images", shard.index), told(inputs, inputs.part("predictions", shard.index))
    data = frame(images, predictions.drop_columns(["logits"]), classes)
    wanted = select(params.select, data)
    if params.limit is not None:
        wanted &= np.isin(data["image_id"].to_numpy(str), state["chosen"])
    shown = params.images.settled(extract.get("images", {}))
    given = regions(params.method, state, params.masks_stamp, Fit.of(shown), tuple(extract["input_size"]))
    if given is not None:
        wanted &= np.isin(data["image_id"].to_numpy(str), list(given.of))
    rows = np.flatnonzero(wanted)
    logits, labels = tables.to_numpy(predictions["logits"]), predictions["label"].to_pylist()
    task = task_of(predictions.schema.field("label").type)
    said = predictions["pred"].to_pylist()
    asked = {int(r): resolve(params.targets, logits[r], labels[r], classes, task, said[r]) for r in rows}
    size = tuple(extract["input_size"])
    explained, lost = _Rows(configured, size), {}
    feed = Feed(params.images, with_size(shown, size, _channels(params), given))
    # Images with as many targets each go together: every function is compiled for one number of targets.
    for count in sorted({len(t) for t in asked.values()} - {0}):
        explain = explainer(
            params.model, params.method, configured, params.batch, count, params.seed, state.get("background"), given
        )
        group = {row: data["uri"][row] for row in asked if len(asked[row]) == count}
        for batch in feed.batches(group, params.batch):
            pixels, rejected = fitting(batch, data["image_id"], given)
            for row, reason in rejected.items():
                inputs.warn(f"{group[row]} cannot be explained: {reason}")
                lost[data["image_id"][row]] = group[row], reason
            if pixels:
                ids = [data["image_id"][row] for row in pixels]
                targets = np.array([list(asked[row]) for row in pixels], np.int32)
                maps = explain(np.stack(list(pixels.values())), targets, ids)
                explained.add(ids, [asked[row] for row in pixels], maps)
    if lost:
        inputs.note("explain: once what cannot be explained can be read again, run with --redo explain")
    return dict(zip(_writes(params), (explained.table(), _rejects(lost)), strict=True))


def _states(params: Params) -> list[tuple[str, str]]:
    measured = task_named(params.model.task).measured
    return [("extract", ""), *([("measures", "")] if measured else [])]


def _writes(params: Params) -> tuple[str, str]:
    return f"maps/{params.method.variant}", f"rejects/explain-{params.method.variant}"


def _rejects(lost: Mapping[str, tuple[str, str]]) -> pa.Table:
    """Images that could be read when they were predicted, and now cannot: (uri, reason) by id."""
    rows = [{"image_id": i, "uri": lost[i][0], "stage": "explain", "reason": lost[i][1]} for i in sorted(lost)]
    return pa.Table.from_pylist(rows, tables.rejects())


def _channels(params: Params) -> int:
    from activation_atlas.stages.vision.model import open_model

    return open_model(params.model).channels


class _Rows:
    """What the batches of one part gave, until it becomes a table."""

    def __init__(self, configured: State, size: tuple[int, int]) -> None:
        self.layer, self.place = configured.get("layer"), Place.configured(configured, size).row()
        self.rows: list[tuple] = []

    def add(self, ids: Sequence[str], asked: Sequence[dict[int, list[str]]], maps: Any) -> None:
        for i, image_id in enumerate(ids):
            for j, (target, kinds) in enumerate(asked[i].items()):
                values, score = maps.values[i, j], maps.scores[i, j]
                gap = None if maps.gap is None else float(maps.gap[i, j])
                fit = None if maps.fit is None or np.isnan(maps.fit[i, j]) else float(maps.fit[i, j])
                flag = flag_of(values, score, maps.idle is not None and bool(maps.idle[i, j]))
                self.rows.append((image_id, target, kinds, values, float(score), gap, fit, flag))

    def table(self) -> pa.Table:
        rows = sorted(self.rows, key=lambda row: row[:2])
        schema = tables.maps()
        values = [row[3] for row in rows]
        if sum(v.size for v in values) > np.iinfo(np.int32).max:
            raise UserError(
                f"explain: {len(values)} maps of {values[0].size} values are more than one part can hold; "
                "lower run.shard_images, or ask for fewer targets"
            )
        ends = np.cumsum([0, *(v.size for v in values)]).astype(np.int32)
        flat = np.concatenate([v.reshape(-1) for v in values]) if values else np.zeros(0, np.float32)
        columns = {
            "image_id": [row[0] for row in rows],
            "target": [row[1] for row in rows],
            "target_kinds": [row[2] for row in rows],
            "layer": [self.layer] * len(rows),
            "height": [v.shape[0] for v in values],
            "width": [v.shape[1] for v in values],
            **{name: [value] * len(rows) for name, value in self.place.items()},
            "map": pa.ListArray.from_arrays(pa.array(ends), pa.array(flat.astype(np.float32))),
            "score": [row[4] for row in rows],
            "gap": [row[5] for row in rows],
            "fit": [row[6] for row in rows],
            "flag": [row[7] for row in rows],
        }
        return pa.table([_column(columns[f.name], f.type) for f in schema], schema=schema)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    return values if isinstance(values, pa.Array) else pa.array(values, kind)


STAGE = Stage(
    name="explain",
    version=6,
    about="maps of what in an image speaks for a class, by one method",
    params=Params,
    shards=aligned_shards("predictions"),
    run=run,
    reads=lambda params: {"images": "part", "predictions": "part"},
    writes=_writes,
    fit=fit,
    fit_reads=lambda params: ("images", "predictions"),
    state_of=_states,
    check=("extract", check_asked),
    libraries=("tensorflow", "keras", "pillow", "numpy"),
    model=True,
    steps=_steps,
    rejects=lambda params: _writes(params)[1:],
    cost=cost,
    foreseen=True,
)
