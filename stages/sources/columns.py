"""Tables beside images: which column is which, and CSV or Parquet as an Arrow table."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.sources.folder import is_image
from stages.sources.places import Place, one_line
from stages.specs import ImagesSpec
from stages.stage import UserError

PARQUET = (".parquet", ".pq")
CSV = (".csv", ".tsv", ".txt")

USUAL = {
    "image": ("image", "path", "file", "filename", "uri", "file_name", "filepath", "file_path", "image_path", "url"),
    "label": ("label", "class", "target"),
    "split": ("split",),
}
"""Names a column is found by, whatever its case, in this order."""


def choose(names: Sequence[str], asked: str | None, role: str, where: str) -> str | None:
    """The column for a role: the one asked for, or the first of the usual names; None where there is none.

    ``none`` asked for a label means that there is to be no label.

    Raises:
        UserError: the column asked for is not there.
    """
    if asked is not None:
        if asked in names:
            return asked
        if role == "label" and asked.lower() == "none":
            return None
        near = difflib.get_close_matches(asked, names, 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise UserError(f"images.{role}_column: {where} has no column {asked!r}; {hint}")
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[usual] for usual in USUAL[role] if usual in lower), None)


def choose_label(schema: pa.Schema, asked: str | None, where: str) -> str | None:
    """The column of labels, one class for an image; None where there is none.

    Raises:
        UserError: the column asked for is not there, or holds several classes an image.
    """
    name = choose(schema.names, asked, "label", where)
    kind = schema.field(name).type if name is not None else None
    if kind is not None and pa.types.is_nested(kind):
        raise UserError(
            f"images.label_column: {where}: column {name!r} holds {kind}; an image has one class (several, "
            "multi-label, cannot be used); name another column, or none to go without labels"
        )
    return name


def wanted(schema: pa.Schema, taken: Collection[str | None]) -> tuple[list[str], list[str]]:
    """(columns to keep as metadata, columns left out for being nested or binary).

    Columns without a name are a saved index, and are dropped.
    """
    kept, left = [], []
    for field in schema:
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        if field.name in taken or not field.name:
            continue
        flat = not (pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
        (kept if flat else left).append(field.name)
    return kept, left


def metadata(table: pa.Table, names: Sequence[str]) -> dict[str, pa.Array]:
    """Columns as plain arrays: no dictionaries, no large strings, no column without a type."""
    found = {}
    for name in names:
        column = table[name].combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_null(column.type) or pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        found[name] = column
    return found


def texts(column: pa.ChunkedArray) -> list[str | None]:
    """A column as texts; empty ones as None."""
    return [None if v is None or v == "" else str(v) for v in column.to_pylist()]


def read_table(place: Place, spec: ImagesSpec) -> tuple[pa.Table, str, str | None, str | None]:
    """(table, image column, label column, split column) of a CSV or a Parquet of paths.

    In a CSV these three columns are texts, so that ``0001`` stays what it is, and
    empty texts are null.

    Raises:
        UserError: not such a table, or no column of paths; says which there are.
    """
    try:
        if place.extension in PARQUET:
            table = _parquet(place, spec)
        else:
            table = _csv(place, spec)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{place.shown} cannot be read: {one_line(error)}") from None
    names = table.column_names
    twice = sorted({n for n in names if n and names.count(n) > 1})
    if twice:
        raise UserError(f"{place.shown} has two columns named {twice[0]!r}: rename one")
    image = choose(names, spec.image_column, "image", place.shown)
    if image is None:
        raise UserError(f"{place.shown} has no column of paths; name one with images.image_column: {', '.join(names)}")
    kind = table.schema.field(image).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise UserError(f"{place.shown}: column {image!r} holds {kind}, not paths; choose with images.image_column")
    label = choose(names, spec.label_column, "label", place.shown)
    split = choose(names, None, "split", place.shown)
    return table, image, label, split


def _parquet(place: Place, spec: ImagesSpec) -> pa.Table:
    with pq.ParquetFile(place.openable()) as parquet:
        choose_label(parquet.schema_arrow, spec.label_column, place.shown)  # a nested column is left out below
        kept, _ = wanted(parquet.schema_arrow, ())
        return parquet.read(columns=kept)


def _csv(place: Place, spec: ImagesSpec) -> pa.Table:
    from pyarrow import csv as arrow

    with place.open() as file:
        data = file.read()
    try:
        text = data[: 1 << 16].decode("utf-8-sig", "ignore")
        data.decode()
    except UnicodeDecodeError:
        raise UserError(f"{place.shown} is not UTF-8 text: save it as UTF-8") from None
    if not text.strip():
        raise UserError(f"{place.shown} is empty: its first line names the columns, e.g. path,label")
    line = text.lstrip("\r\n").split("\n", 1)[0]
    delimiter = "\t" if place.extension == ".tsv" else max(",;\t|", key=line.count)
    names = next(csv.reader(io.StringIO(text.lstrip("\r\n")), delimiter=delimiter))
    if any(is_image(name) for name in names):
        raise UserError(f"{place.shown} begins with data: its first line must name the columns, e.g. path,label")
    chosen = [choose(names, spec.image_column, "image", place.shown)]
    chosen += [choose(names, spec.label_column, "label", place.shown), choose(names, None, "split", place.shown)]
    table = arrow.read_csv(
        io.BytesIO(data),
        arrow.ReadOptions(block_size=len(data) + 1),  # types are inferred from all rows
        arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        arrow.ConvertOptions(column_types={name: pa.string() for name in chosen if name}),
    )
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table[index]
            given = pc.binary_length(column).cast(pa.bool_())
            table = table.set_column(index, field, pc.if_else(given, column, pa.nulls(len(column), pa.string())))
    return table
