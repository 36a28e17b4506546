"""Outputs that another program gave, as they lie in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activation_atlas.stages.sources import Source, image_id
from activation_atlas.stages.stage import UserError

PATHS = ("uri", "path", "image", "file", "filename", "file_name", "filepath", "file_path", "image_path", "image_id")
LISTS = ("outputs", "logits", "probabilities")
"""Columns by these names, whatever their case, are of the images, or hold all of an image's outputs."""
NO_OUTPUTS = {"", "label", "class", "target", "split"}
_TABLES = (".csv", ".tsv", ".parquet", ".pq")


@dataclass(frozen=True)
class Given:
    """Outputs as they were given.

    Attributes:
        values: (n, K) float64.
        names: of the images, by row; None where rows follow the images.
        shown: the file, for messages.
    """

    values: np.ndarray
    names: Sequence[str] | None
    shown: str


def read(path: Path) -> Given:
    """The outputs in a file: ``.npy``, or CSV or Parquet with a column for each output, or one of lists of them.

    Raises:
        UserError: no such file, none of these, or something in it is no finite number; one line.
    """
    shown = str(path)
    try:
        if path.suffix == ".npy":
            values, names = np.load(path, allow_pickle=False), None
        elif path.suffix in _TABLES:
            values, names = _columns(_table(path), shown)
        else:
            raise UserError(f"outputs: {shown}: give .npy, .csv or .parquet")
    except FileNotFoundError:
        raise UserError(f"outputs: {shown} does not exist") from None
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise UserError(f"outputs: {shown} cannot be read ({' '.join(str(error).split())[:200]})") from None
    if values.dtype.kind not in "fiub" or values.ndim < 1 or values.size == 0:
        raise UserError(f"outputs: {shown} holds {values.dtype} of shape {values.shape}; give numbers, a row an image")
    values = values.astype(np.float64).reshape(len(values), -1)
    broken = np.flatnonzero(~np.isfinite(values).all(1))
    if len(broken):
        raise UserError(
            f"outputs: {shown}: {len(broken)} of {len(values)} rows hold NaN or infinite values, the first of them row "
            f"{broken[0] + 1}; leave these images out, or mend what made them"
        )
    return Given(values, names, shown)


def rows_of(given: Given, source: Source, where: str) -> tuple[np.ndarray, list[str], str]:
    """Which rows of a listing the outputs are of.

    Args:
        where: where the images lie, for messages.

    Returns:
        The place in the listing of each row of ``given.values`` that names an image, (m,); -1 of the others; the names
        of the latter, and what to say of them.

    Raises:
        UserError: rows and images do not meet.
    """
    uris = source.listing["uri"].to_pylist()
    if given.names is None:
        if len(given.values) != len(uris):
            raise UserError(
                f"outputs: {given.shown} has {len(given.values)} rows and {where} {len(uris)} images; give a row for "
                "each, in the order of their paths, or a table with a column `path`"
            )
        return np.arange(len(uris)), [], ""
    known = {name: row for row, name in enumerate(source.listing["image_id"].to_pylist())}
    known |= {uri: row for row, uri in enumerate(uris)}
    ends: dict[str, int] = {}
    for row, uri in enumerate(uris):
        parts = uri.partition("#")[0].split("/")
        for k in range(1, min(len(parts), 8)):
            end = "/".join(parts[-k:])
            ends[end] = -1 if end in ends else row
    places = np.array(
        [known.get(n, known.get(image_id(n), ends.get(n.removeprefix("./"), -1))) for n in given.names], np.int64
    )
    lost = [name for name, place in zip(given.names, places, strict=True) if place < 0]
    if len(lost) == len(places):
        raise UserError(
            f"outputs: none of the {len(lost)} rows of {given.shown} names an image of {where}, e.g. {lost[0]!r}; "
            f"paths are relative to it, as {Path(uris[0]).name!r}"
        )
    twice = places[places >= 0]
    if len(np.unique(twice)) < len(twice):
        first = next(n for n, p in zip(given.names, places, strict=True) if p >= 0 and (places == p).sum() > 1)
        raise UserError(f"outputs: {given.shown} has several rows for {first!r}; give one for each image")
    return places, lost, _lost(lost, given.shown)


def _lost(names: Sequence[str], shown: str) -> str:
    if not names:
        return ""
    many = "1 row" if len(names) == 1 else f"{len(names)} rows"
    return f"{many} of {shown} name{'s' if len(names) == 1 else ''} no image, e.g. {names[0]!r}"


def _table(path: Path) -> pa.Table:
    if path.suffix not in (".csv", ".tsv"):
        return pq.read_table(path)
    from pyarrow import csv

    parse = csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",")
    table = csv.read_csv(path, csv.ReadOptions(use_threads=False), parse)
    counted = [str(k) for k in range(table.num_columns)]  # as pandas names columns without names
    if all(map(_number, table.column_names)) and table.column_names != counted:  # numbers from the first line on
        table = csv.read_csv(path, csv.ReadOptions(use_threads=False, autogenerate_column_names=True), parse)
    return table


def _number(text: str) -> bool:
    try:
        return float(text) is not None
    except ValueError:
        return False


def _columns(table: pa.Table, shown: str) -> tuple[np.ndarray, list[str] | None]:
    lower = {name.lower(): name for name in table.column_names}
    image = next((lower[name] for name in PATHS if name in lower), None)
    rest = [name for name in table.column_names if name != image and name.lower() not in NO_OUTPUTS]
    lists = [name for name in rest if _is_list(table.schema.field(name).type)]
    chosen = next((lower[name] for name in LISTS if lower.get(name) in lists), lists[0] if len(lists) == 1 else None)
    names = None if image is None else [str(name) for name in table[image].to_pylist()]
    if chosen is not None:
        column = table[chosen].combine_chunks()
        lengths = set(pc.list_value_length(column).to_pylist())
        if len(lengths) != 1:
            raise UserError(f"outputs: {shown}: the lists of {chosen!r} are not of one length; give as many for each")
        flat = pc.list_flatten(column).to_numpy(zero_copy_only=False)
        return flat.reshape(len(column), -1), names
    numbers = [name for name in rest if _is_number(table.schema.field(name).type)]
    if not numbers:
        there = ", ".join(table.column_names)
        raise UserError(f"outputs: {shown} has no column of numbers or of lists of them; there are {there}")
    columns = [table[name].cast(pa.float64()).to_numpy() for name in numbers]
    return np.stack(columns, 1), names


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
