"""The page of what was looked at: its sections, and the pictures in each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

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
    """A kind of picture: its heading, what is seen, and the pictures; or where they are."""

    id: str
    title: str
    about: str
    pictures: Sequence[Picture]
    links: Sequence[Link] = ()


FILTERS = (
    "filters",
    "Learned filters",
    "The weights themselves: what a layer multiplies with what it is given. Those of the first layer lie on the image.",
)
MAPS = (
    "maps",
    "Feature maps",
    "Every channel of a layer for one photograph, layer after layer: the deeper, the coarser and the more often zero.",
)
ATTENTION = (
    "attention",
    "Attention",
    "What the heads of a transformer take from each patch of a photograph, block after block: which patches, and how "
    "evenly.",
)
MAXIMISED = (
    "maximised",
    "What it would like to see",
    "Pictures drawn from noise so that a channel, a class or an output answers as strongly as can be; beside that of a "
    "channel what in the photographs excites it most.",
)
OTHERS = (
    "others",
    "More of this run",
    "What all of the run’s photographs say of the same layers, and where a map finds the thing.",
)


def page(title: str, heading: str, model: str, sections: Iterable[Section], home: str = "") -> bytes:
    """The page as HTML; sections without pictures and links are left out.

    Args:
        title: of the run, or of the model. heading: of the page.
        home: the page it belongs to, or empty.
    """
    shown = [asdict(section) for section in sections if section.pictures or section.links]
    facts = {"heading": heading, "model": model, "sections": shown, "home": home}
    return rendered("look.html", title, {}, (), ("style.css", "look.css"), facts)
