"""Tables beside images: which column is which, and CSV or Parquet as an Arrow table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from activation_atlas.stages.sources import jsonl
from activation_atlas.stages.sources.places import Place, is_image, one_line
from activation_atlas.stages.sources.roles import USUAL, check_labels, choose, choose_labels, stored
from activation_atlas.stages.sources.rows import strings
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import UserError

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")
JSON_LINES = (".jsonl", ".ndjson")


class NoPaths(UserError):
    """A table that has no column of paths."""


FEW = 64
"""Lists of at most so many numbers a row, on average, are kept: boxes and points, no embeddings."""


def wanted(parquet: pq.ParquetFile, taken: Collection[str | None]) -> tuple[list[str], list[str]]:
    """(columns to keep as metadata, columns left out: binary ones, and nested ones but for lists of few numbers).

    Columns without a name are a saved index, and are dropped.
    """
    kept: list[str] = []
    left: list[str] = []
    for field in parquet.schema_arrow:
        if field.name in taken or not field.name:
            continue
        kind = stored(field.type)
        if pa.types.is_nested(kind):
            fits = _of_numbers(kind) and _values(parquet, field.name) <= FEW * parquet.metadata.num_rows
        else:
            fits = not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
        (kept if fits else left).append(field.name)
    return kept, left


def _of_numbers(kind: pa.DataType) -> bool:
    """Whether it is a list of numbers, or of such lists."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    inner = kind.value_type
    return pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_decimal(inner) or _of_numbers(inner)


def _values(parquet: pq.ParquetFile, name: str) -> int:
    """Numbers in a column of lists, from the file's footer."""
    groups = [parquet.metadata.row_group(k) for k in range(parquet.metadata.num_row_groups)]
    columns = [group.column(k) for group in groups for k in range(group.num_columns)]
    return sum(c.num_values for c in columns if c.path_in_schema.startswith(f"{name}."))


def told(
    name: str, names: Sequence[str], left: Sequence[str], labels: Sequence[str], spec: ImagesSpec, only: bool = False
) -> list[str]:
    """Warnings: of columns that are left out, and of labels that seem to be there and are not taken.

    Args:
        only: nothing else tells the labels.
    """
    said = []
    if left:
        why = "kept are numbers, texts and lists of few numbers"
        said.append(f"{name}: columns left out: {', '.join(left)}; {why}")
    near = [n for n in names if any(usual in n.lower() for usual in USUAL["label"])]
    if not labels and spec.label_column is None and (near or only or spec.labels is not None):
        there = f" (there are {', '.join(near or names)})" if names else ", if it is in another table"
        said.append(
            f"{name}: no column is called {', '.join(USUAL['label'])}, so that none gives labels; name that of the "
            f"labels with images.label_column{there}, or none to go without labels"
        )
    return said


def metadata(table: pa.Table, names: Sequence[str]) -> dict[str, pa.Array]:
    """Columns as plain arrays: no dictionaries, no large strings, no column without a type; lists as texts (JSON)."""
    found = {}
    for name in names:
        column = table[name].combine_chunks()
        if isinstance(column, pa.ExtensionArray):
            column = column.storage
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_null(column.type) or pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        if pa.types.is_nested(column.type):
            column = strings([None if v is None else json.dumps(v, default=float) for v in column.to_pylist()])
        found[name] = column
    return found


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """A column as texts, without spaces around them; empty ones as None."""
    return [None if v is None else str(v).strip() or None for v in column.to_pylist()]


def read_table(place: Place, spec: ImagesSpec) -> tuple[pa.Table, str, list[str], str | None, list[str]]:
    """(table, image column, label columns, split column, columns left out) of a CSV or a Parquet of paths.

    In a CSV these columns are texts, so that ``0001`` stays what it is, and
    empty texts are null.

    Raises:
        UserError: not such a table, or no column of paths; says which there are.
    """
    try:
        if place.extension in PARQUET:
            table, left = _parquet(place, spec)
        elif place.extension in JSON_LINES:
            table, left = _json_lines(place, spec)
        else:
            table, left = _csv(place, spec), []
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{place.shown} cannot be read: {one_line(error)}") from None
    names = table.column_names
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise UserError(f"{place.shown} has two columns named {twice[0]!r}: rename one")
    image = choose(names, spec.image_column, "image", place.shown)
    if image is None:
        raise NoPaths(f"{place.shown} has no column of paths; name one with images.image_column: {', '.join(names)}")
    kind = table.schema.field(image).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UserError(f"{place.shown}: column {image!r} holds {kind}, not paths; choose with images.image_column")
    labels = choose_labels(names, spec, place.shown)
    check_labels(table.schema, labels, place.shown)
    split = choose(names, None, "split", place.shown)
    return table, image, labels, split, left


def _parquet(place: Place, spec: ImagesSpec) -> tuple[pa.Table, list[str]]:
    with pq.ParquetFile(place.openable()) as parquet:
        labels = choose_labels(parquet.schema_arrow.names, spec, place.shown)
        check_labels(parquet.schema_arrow, labels, place.shown)
        kept, left = wanted(parquet, labels)  # which may be lists
        return parquet.read(columns=[*kept, *labels]), left


def _json_lines(place: Place, spec: ImagesSpec) -> tuple[pa.Table, list[str]]:
    try:
        rows = jsonl.objects(_read(place).decode("utf-8-sig"))
    except ValueError as error:
        raise UserError(f"{place.shown}: {error}") from None
    names = jsonl.keys(rows)
    labels = choose_labels(names, spec, place.shown)
    plain = {choose(names, spec.image_column, "image", place.shown), choose(names, None, "split", place.shown)}
    lists = [name for name in labels if any(isinstance(row.get(name), list) for row in rows)]
    table, left = jsonl.columns(
        [{k: v for k, v in row.items() if k not in lists} for row in rows], plain | {*labels}, FEW
    )
    for name in set(labels) & set(left):
        check_labels(pa.schema([(name, pa.struct([]))]), [name], place.shown)
    for name in lists:
        table = table.append_column(name, jsonl.texts([row.get(name) for row in rows]))
    return table, left


def _read(place: Place) -> bytes:
    """The bytes of a UTF-8 file."""
    with place.open() as file:
        data = file.read()
    try:
        data.decode()
    except UnicodeDecodeError:
        raise UserError(f"{place.shown} is not UTF-8 text: save it as UTF-8") from None
    return data


def _csv(place: Place, spec: ImagesSpec) -> pa.Table:
    from pyarrow import csv as arrow

    data = _read(place)
    text = data[: 1 << 16].decode("utf-8-sig", "ignore")
    if not text.strip():
        raise UserError(f"{place.shown} is empty: its first line names the columns, e.g. path,label")
    if place.extension not in CSV and text.lstrip()[0] in "{[<":  # COCO's JSON, VOC's XML
        raise UserError(
            f"{place.shown} is no table: write a CSV, a Parquet or JSON lines (.jsonl) "
            "with a path and a label for each image"
        )
    line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if place.extension == ".tsv" else max(",;\t|", key=line.count)
    written = next(csv.reader(io.StringIO(text.lstrip("\r\n")), delimiter=delimiter))
    names = [name.strip() for name in written]  # `path, label`
    if any(is_image(name) for name in names):
        raise UserError(f"{place.shown} begins with data: its first line must name the columns, e.g. path,label")
    chosen = [choose(names, spec.image_column, "image", place.shown), choose(names, None, "split", place.shown)]
    chosen += choose_labels(names, spec, place.shown)
    table = arrow.read_csv(
        io.BytesIO(data),
        # Types are inferred from all rows. Threads: one that is still there when the process ends takes it down.
        arrow.ReadOptions(use_threads=False, block_size=len(data) + 1),
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        arrow.ConvertOptions(
            column_types={as_is: pa.string() for as_is, n in zip(written, names, strict=True) if n in chosen}
        ),
    )
    table = table.rename_columns([name.strip() for name in table.column_names])
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table[index]
            given = pc.binary_length(column).cast(pa.bool_())
            table = table.set_column(index, field, pc.if_else(given, column, pa.nulls(len(column), pa.string())))
    return table
