"""What was looked at as files: pictures, tables and a page that opens from the file system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from activation_atlas.stages.drawing.numbers import probability
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.written import file_stems
from activation_atlas.stages.look import page
from activation_atlas.stages.look.page import Picture, Section
from activation_atlas.stages.look.photographs import Photograph
from activation_atlas.stages.specs import folder, slug

if TYPE_CHECKING:
    from activation_atlas.stages.look.interactive import Look


def save(seen: Look, out: Path) -> list[Path]:
    """Writes everything to a folder; the files written, the page first."""
    out.mkdir(parents=True, exist_ok=True)
    writer = _Writer(out)
    filters = [writer.picture(one.sheet(), f"filters-{_part(one.name)}", one.name) for one in seen.filters]
    stems = dict(zip([one.image_id for one in seen.images], file_stems([one.name for one in seen.images]), strict=True))
    maps = []
    for one in seen.maps:
        name = f"maps-{stems[one.image.image_id]}-{_part(one.layer)}"
        maps.append(writer.picture(one.sheet(), name, f"{one.layer} of {one.image.name}"))
    writer.table("filters", (one.table() for one in seen.filters))
    writer.table("feature_maps", (one.table() for one in seen.maps))
    drawn = []
    for made in seen.maximised:
        what = made.layer or "classes"
        drawn.append(writer.picture(made.sheet(), f"maximised-{_part(what)}", f"pictures that {what} answer to"))
    writer.table("maximised", (made.table() for made in seen.maximised))
    sections = [Section(*page.FILTERS, filters), Section(*page.MAPS, maps), Section(*page.MAXIMISED, drawn)]
    title = "What the network has learned" + (", and what it sees" if seen.images else "")
    index = out / "index.html"
    index.write_bytes(page.page(seen.model, title, seen.model, sections))
    return [index, *writer.written]


def said(image: Photograph, classes: Sequence[str]) -> str:
    """What the model takes an image for, in one line."""
    best = ", ".join(f"{classes[k]} {probability(image.probabilities[k])}" for k in image.best(3))
    return f"{image.uri}: {best}"


class _Writer:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.written: list[Path] = []

    def picture(self, sheet: Sheet, stem: str, words: str) -> Picture:
        for suffix, content in ((".png", sheet.png()), (".pdf", sheet.vector("pdf"))):
            path = self.out / (stem + suffix)
            path.write_bytes(content)
            self.written.append(path)
        return Picture(f"{stem}.png", words, sheet.width, sheet.height)

    def table(self, name: str, parts: Iterable[pa.Table]) -> None:
        if found := list(parts):
            path = self.out / f"{name}.parquet"
            pq.write_table(pa.concat_tables(found), path)
            self.written.append(path)


def _part(name: str) -> str:
    return slug(folder(name))
