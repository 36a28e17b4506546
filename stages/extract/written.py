"""Tables that another framework wrote: read by image, and held against one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activation_atlas.stages.caches import cached
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.extract.network import Network
from activation_atlas.stages.sources import image_id
from activation_atlas.stages.specs import folder
from activation_atlas.stages.stage import UserError

KEYS = {"predictions": ("image_id",), "activations": ("image_id", "row", "col"), "features": ("image_id",)}


@dataclass(frozen=True)
class Written:
    """One of the tables.

    Attributes:
        name: as in a run folder.
        files: its parts.
        images: of each part, its distinct image ids.
        own: the id that the writer gave an image, by the id that a run gives it; empty where they are the same.
    """

    name: str
    files: tuple[Path, ...]
    images: tuple[frozenset[str], ...]
    own: Mapping[str, str]

    def of(self, ids: Sequence[str]) -> pa.Table:
        """The rows of some images, by the run's ids and in their order, then by row and col."""
        back = {self.own.get(i, i): i for i in ids}
        wanted = pa.array(back, pa.string())
        parts = [_some(self.files[k], wanted) for k, have in enumerate(self.images) if not have.isdisjoint(back)]
        rows = pa.concat_tables(parts or [_some(self.files[0], wanted)])
        place = pc.index_in(rows["image_id"], value_set=wanted).to_numpy()
        order = [place, *(rows[axis].to_numpy() for axis in ("row", "col") if axis in rows.column_names)]
        rows = rows.take(pa.array(np.lexsort(order[::-1])))
        ids_of = pa.array(back.values(), pa.string()).take(pc.index_in(rows["image_id"], value_set=wanted))
        return rows.set_column(rows.column_names.index("image_id"), "image_id", ids_of)


def _some(file: Path, wanted: pa.Array) -> pa.Table:
    """Rows of some images in the types of this project, whichever their writer took; vectors as float32."""
    rows = _keyed(pq.read_table(file))
    rows = rows.filter(pc.is_in(rows["image_id"], value_set=wanted))
    for k, field in enumerate(rows.schema):
        if pa.types.is_nested(field.type):
            flat = pc.list_flatten(rows[field.name]).cast(pa.float32()).combine_chunks()
            size = len(flat) // len(rows) if len(rows) else 0
            rows = rows.set_column(k, field.name, pa.FixedSizeListArray.from_arrays(flat, size) if size else rows[k])
    return rows


def _keyed(rows: pa.Table) -> pa.Table:
    """Ids as texts, rows and columns as whole numbers of one size."""
    for name, kind in (("image_id", pa.string()), ("row", pa.int64()), ("col", pa.int64())):
        if name in rows.column_names:
            rows = rows.set_column(rows.column_names.index(name), name, rows[name].cast(kind))
    return rows


@cached(16)
def _opened(root: str, name: str, seen: str) -> Written:
    files = tuple(_files(root, name))
    ids = tuple(frozenset(pc.unique(pq.read_table(f, columns=["image_id"])["image_id"]).to_pylist()) for f in files)
    return Written(name, files, ids, {} if name != "predictions" else _own(files))


def _own(files: Sequence[Path]) -> dict[str, str]:
    """The writer's ids by the run's, where paths tell which is which."""
    found: dict[str, str] = {}
    for file in files:
        if "path" in pq.read_schema(file).names:
            rows = pq.read_table(file, columns=["image_id", "path"]).to_pydict()
            found |= {image_id(path): own for own, path in zip(rows["image_id"], rows["path"], strict=True) if path}
    return {} if all(run == own for run, own in found.items()) else found


def _files(root: str, name: str) -> list[Path]:
    return sorted(Path(root, name).glob("*.parquet"))


def open_table(root: str, name: str) -> Written:
    """A table of the folder ``root``; one whose files have changed is read anew."""
    if not (files := _files(root, name)):
        raise UserError(f"model.tables: {root} has no {name}/*.parquet; write it, or leave the layer out")
    marks = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    table = _opened(root, name, repr(marks))
    return table if name == "predictions" else replace(table, own=open_table(root, "predictions").own)


def check(root: str, network: Network, layers: Sequence[str], features: Sequence[str], attributed: bool) -> None:
    """Holds the tables against one another and against what is said of the network.

    Raises:
        UserError: one line with the first of what does not meet, and how many there are.
    """
    said = open_table(root, "predictions")
    _columns(said, {"image_id": None, "logits": len(network.classes)})
    known = _distinct(said)
    for name in layers:
        about, argued = network.layers[name], len(network.attributed)
        rows = open_table(root, f"activations/{folder(name)}")
        sizes = {"image_id": None, "row": None, "col": None, "activation": about.channels}
        _columns(rows, {**sizes, **({"attribution": argued} if attributed else {})})
        _meet(rows, known)
        _distinct(rows, (about.height, about.width))
    for name in features:
        rows = open_table(root, f"features/{folder(name)}")
        _columns(rows, {"image_id": None, "features": network.layers[name].channels})
        _meet(rows, known)
        _distinct(rows)


def _columns(table: Written, wanted: dict[str, int | None]) -> None:
    """Of each part the columns, their types, and the lengths of the vectors."""
    for file in table.files:
        schema, where = pq.read_schema(file), f"model.tables: {table.name}/{file.name}"
        for name, size in wanted.items():
            if name not in schema.names:
                raise UserError(f"{where}: has no column {name}; there are {', '.join(schema.names)}")
            kind = schema.field(name).type
            listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
            sound = {
                "image_id": pa.types.is_string(kind) or pa.types.is_large_string(kind),
                "row": pa.types.is_integer(kind),
                "col": pa.types.is_integer(kind),
            }.get(name, listed and pa.types.is_floating(kind.value_type if listed else kind))
            if not sound:
                form = "lists of float16 or float32" if size is not None else "whole numbers"
                raise UserError(f"{where}: {name} is {kind}; write {form if name != 'image_id' else 'texts'}")
            if size is not None:
                _lengths(file, name, kind, size, where)


def _lengths(file: Path, name: str, kind: pa.DataType, size: int, where: str) -> None:
    if pa.types.is_fixed_size_list(kind) and kind.list_size == size:
        return
    what = {"logits": "classes", "attribution": "classes attributed"}.get(name, "channels")
    rows = pq.read_table(file, columns=["image_id", name])
    lengths = pc.fill_null(pc.list_value_length(rows[name]), 0).to_numpy()
    wrong = np.flatnonzero(lengths != size)
    if len(wrong):
        one = f"image {rows['image_id'][int(wrong[0])].as_py()} has {lengths[wrong[0]]}"
        raise UserError(
            f"{where}: {len(wrong)} of {plural(len(rows), 'row')} of {name} are not of the {size} {what}, e.g. {one}"
        )


def _meet(table: Written, known: set[str]) -> None:
    """Its images must be among those of the predictions."""
    own = set().union(*table.images)
    if lost := sorted(own - known):
        raise UserError(
            f"model.tables: {len(lost)} of {plural(len(own), 'image')} of {table.name} are not in predictions, e.g. "
            f"{lost[0]}; write a row of logits for each"
        )
    if lost := sorted(known - own):
        raise UserError(
            f"model.tables: {len(lost)} of {plural(len(known), 'image')} of predictions are not in {table.name}, e.g. "
            f"{lost[0]}; write each image's rows"
        )


def _distinct(table: Written, size: tuple[int, int] | None = None) -> set[str]:
    """The images of a table, each key of which is there once and, of positions, lies on the map."""
    key = KEYS[table.name.partition("/")[0]]
    rows = pa.concat_tables([_keyed(pq.read_table(file, columns=list(key))) for file in table.files])
    where = f"model.tables: {table.name}"
    if size is not None:
        row, col = (rows[axis].to_numpy() for axis in ("row", "col"))
        wrong = np.flatnonzero((row < 0) | (col < 0) | (row >= size[0]) | (col >= size[1]))
        if len(wrong):
            one = f"({row[wrong[0]]}, {col[wrong[0]]}) of image {rows['image_id'][int(wrong[0])].as_py()}"
            raise UserError(
                f"{where}: {len(wrong)} of {plural(len(rows), 'position')} are not on the {size[0]} x {size[1]} map, "
                f"e.g. {one}"
            )
    counted = rows.group_by(list(key)).aggregate([([], "count_all")])
    double = counted.filter(pc.greater(counted["count_all"], 1)).sort_by([(name, "ascending") for name in key])
    if len(double):
        one = ", ".join(f"{name} {double[name][0].as_py()}" for name in key)
        many = f"{len(double)} of {plural(len(counted), 'key')}"
        raise UserError(f"{where}: {many} are there more than once, e.g. {one}; keep one of each")
    return set(rows["image_id"].to_pylist())


def unused(root: str, used: set[str]) -> list[str]:
    """Images of the tables that are none of the run's, as their writer calls them."""
    said = open_table(root, "predictions")
    return sorted(set().union(*said.images) - {said.own.get(i, i) for i in used})
