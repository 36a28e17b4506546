"""The page of what a network has learned and sees, written from rows of the table ``looks``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from activation_atlas.stages.drawing.pages import rendered


@dataclass(frozen=True)
class Picture:
    """A picture on the page.

    Attributes:
        src: the file, relative to the page. large: the file it opens, or empty for the same.
        words: what it shows, for who cannot see it.
        said: written under it, or empty.
        width, height: pixels.
    """

    src: str
    words: str
    width: int
    height: int
    large: str = ""
    said: str = ""


@dataclass(frozen=True)
class Link:
    """What is elsewhere: relative to the page, and in words."""

    href: str
    words: str


@dataclass(frozen=True)
class Section:
    """A kind of picture: its heading, what is seen, and the pictures; or where they are.

    Attributes:
        table: the file of the numbers behind the pictures, or empty.
    """

    id: str
    title: str
    about: str
    table: str = ""
    pictures: Sequence[Picture] = ()
    links: Sequence[Link] = ()


SECTIONS = (
    Section(
        "filters",
        "Learned filters",
        "The weights themselves: what a layer multiplies with what it is given. Those of the first layer lie on the "
        "image.",
        "filters",
    ),
    Section(
        "maps",
        "Feature maps",
        "Every channel of a layer for one photograph, layer after layer: the deeper, the coarser and the more often "
        "zero.",
        "feature_maps",
    ),
    Section(
        "attention",
        "Attention",
        "What the heads of a transformer take from each patch of a photograph, block after block: which patches, and "
        "how evenly.",
        "attention",
    ),
    Section(
        "maximised",
        "What it would like to see",
        "Pictures drawn from noise so that a channel, a class or an output answers as strongly as can be; beside that "
        "of a channel what in the photographs excites it most.",
        "maximised",
    ),
    Section(
        "others",
        "More of this run",
        "What all of the run’s photographs say of the same layers, and where a map finds the thing.",
    ),
)


def files_of(
    rows: Iterable[Mapping[str, Any]],
    title: str,
    model: str,
    seen: bool,
    home: str = "",
    others: Sequence[Link] = (),
) -> dict[str, bytes]:
    """The files by name, the page first.

    Args:
        rows: of the table ``looks``, in the order of the page.
        title: of the run, or the model's name. model: its name.
        seen: whether there are photographs.
        home: the page that this one belongs to, or empty. others: what else there is of the run.
    """
    files: dict[str, bytes] = {"index.html": b""}
    shown: dict[str, list[Picture]] = {}
    tables: dict[str, list[pa.Table]] = {}
    for row in rows:
        stem = row["stem"]
        files[f"{stem}.png"], files[f"{stem}.pdf"] = row["png"], row["pdf"]
        picture = Picture(f"{stem}.png", row["words"], row["width"], row["height"])
        shown.setdefault(row["section"], []).append(picture)
        tables.setdefault(row["section"], []).append(pa.ipc.open_stream(row["numbers"]).read_all())
    found = []
    for section in SECTIONS:
        if parts := tables.get(section.id):
            held = BytesIO()
            pq.write_table(pa.concat_tables(parts), held)
            files[f"{section.table}.parquet"] = held.getvalue()
        links = others if section.id == "others" else ()
        found.append({**asdict(section), "pictures": shown.get(section.id, []), "links": links})
    facts = {
        "heading": "What the network has learned" + (", and what it sees" if seen else ""),
        "model": model,
        "sections": [section for section in found if section["pictures"] or section["links"]],
        "home": home,
    }
    files["index.html"] = rendered("look.html", title, {}, (), ("style.css", "look.css"), facts)
    return files
