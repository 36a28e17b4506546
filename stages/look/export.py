"""What was looked at as files: pictures, tables and a page that opens from the file system."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.written import file_stems
from activation_atlas.stages.look import page
from activation_atlas.stages.look.page import Link, Picture, Section
from activation_atlas.stages.look.photographs import Photograph
from activation_atlas.stages.specs import folder, slug

if TYPE_CHECKING:
    from activation_atlas.stages.look.interactive import Look


def save(seen: Look, out: Path) -> list[Path]:
    """Writes everything to a folder; the files written, the page first."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in written_of(seen).items():
        written.append(out / name)
        written[-1].write_bytes(content)
    return written


def written_of(seen: Look, title: str = "", home: str = "", others: Sequence[Link] = ()) -> dict[str, bytes]:
    """The files by name, the page first.

    Args:
        title: of the run; default: the model's name. home: the page that this one belongs to.
        others: what else there is of the run.
    """
    files: dict[str, bytes] = {"index.html": b""}

    def picture(sheet: Sheet, stem: str, words: str) -> Picture:
        files[f"{stem}.png"], files[f"{stem}.pdf"] = sheet.png(), sheet.vector("pdf")
        return Picture(f"{stem}.png", words, sheet.width, sheet.height)

    def table(name: str, parts: Sequence[pa.Table]) -> None:
        if parts:
            held = BytesIO()
            pq.write_table(pa.concat_tables(parts), held)
            files[f"{name}.parquet"] = held.getvalue()

    filters = [picture(one.sheet(), f"filters-{_part(one.name)}", one.name) for one in seen.filters]
    stems = dict(zip([one.image_id for one in seen.images], file_stems([i.name for i in seen.images]), strict=True))
    maps = [
        picture(one.sheet(), f"maps-{stems[one.image.image_id]}-{_part(one.layer)}", f"{one.layer} of {one.image.name}")
        for one in seen.maps
    ]
    attended = [
        picture(one.sheet(), f"attention-{stems[one.image.image_id]}", f"what each head attends to in {one.image.name}")
        for one in seen.attention
    ]
    drawn = [
        picture(
            made.sheet(),
            f"maximised-{_part(made.layer or made.answers)}",
            f"what {made.layer or made.answers} answer to",
        )
        for made in seen.maximised
    ]
    table("filters", [one.table() for one in seen.filters])
    table("feature_maps", [one.table() for one in seen.maps])
    table("attention", [one.table() for one in seen.attention])
    table("maximised", [made.table() for made in seen.maximised])
    sections = [
        Section(*page.FILTERS, filters),
        Section(*page.MAPS, maps),
        Section(*page.ATTENTION, attended),
        Section(*page.MAXIMISED, drawn),
        Section(*page.OTHERS, [], others),
    ]
    heading = "What the network has learned" + (", and what it sees" if seen.images else "")
    files["index.html"] = page.page(title or seen.model, heading, seen.model, sections, home)
    return files


def said(image: Photograph, classes: Sequence[str]) -> str:
    """What the model takes an image for, or measures in it, in one line."""
    return f"{image.uri}: {', '.join(f'{classes[k]} {image.says(k)}' for k in image.best(3))}"


def _part(name: str) -> str:
    return slug(folder(name))
