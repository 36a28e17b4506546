"""What was looked at as rows of the table ``looks``, and as files: pictures, tables and a page that opens from the file
system."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.textbook import files_of
from activation_atlas.stages.drawing.written import file_stems
from activation_atlas.stages.look.photographs import Photograph
from activation_atlas.stages.specs import folder, slug

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activation_atlas.stages.look.interactive import Look


class _Seen(Protocol):
    """What has a sheet, and the numbers behind it."""

    def sheet(self) -> Sheet: ...

    def table(self) -> pa.Table: ...


def save(seen: Look, out: Path) -> list[Path]:
    """Writes everything to a folder; the files written, the page first."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    rows = rows_of(seen, stems_of(seen.images))
    for name, content in files_of(rows, seen.model, seen.model, bool(seen.images)).items():
        written.append(out / name)
        written[-1].write_bytes(content)
    return written


def stems_of(images: Sequence[Photograph]) -> dict[str, str]:
    """What files about each photograph are called after, by its id."""
    return dict(zip([one.image_id for one in images], file_stems([one.name for one in images]), strict=True))


def rows_of(seen: Look, stems: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """A row of the table ``looks`` for each picture, one drawn after the other.

    Args:
        stems: of :func:`stems_of`.
    """
    found: list[tuple[str, _Seen, str, str]] = [
        *(("filters", one, f"filters-{_part(one.name)}", one.name) for one in seen.filters),
        *(
            ("maps", one, f"maps-{stems[one.image.image_id]}-{_part(one.layer)}", f"{one.layer} of {one.image.name}")
            for one in seen.maps
        ),
        *(
            (
                "attention",
                one,
                f"attention-{stems[one.image.image_id]}",
                f"what each head attends to in {one.image.name}",
            )
            for one in seen.attention
        ),
        *(
            (
                "maximised",
                made,
                f"maximised-{_part(made.layer or made.answers)}",
                f"what {made.layer or made.answers} answer to",
            )
            for made in seen.maximised
        ),
    ]
    for place, (section, one, stem, words) in enumerate(found):
        sheet, held = one.sheet(), pa.BufferOutputStream()
        numbers = one.table()
        with pa.ipc.new_stream(held, numbers.schema) as stream:
            stream.write_table(numbers)
        yield {
            "place": place,
            "section": section,
            "stem": stem,
            "words": words,
            "width": sheet.width,
            "height": sheet.height,
            "png": sheet.png(),
            "pdf": sheet.vector("pdf"),
            "numbers": held.getvalue().to_pybytes(),
        }


def said(image: Photograph, classes: Sequence[str]) -> str:
    """What the model takes an image for, or measures in it, in one line."""
    return f"{image.uri}: {', '.join(f'{classes[k]} {image.says(k)}' for k in image.best(3))}"


def _part(name: str) -> str:
    return slug(folder(name))
