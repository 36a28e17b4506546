"""The few forms of Markdown that the pages of the reference are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are Markdown, of one line each."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    parts = " ".join(text.split()).replace("|", "\\|").split("`")
    # Between backticks a sign stands for itself; elsewhere < begins a tag.
    return "`".join(part if k % 2 else part.replace("<", "&lt;") for k, part in enumerate(parts))


def code(text: object) -> str:
    return f"`{text}`"


def anchored(level: int, title: str, anchor: str) -> str:
    """A heading that ``#anchor`` leads to, whatever it says."""
    return f"{'#' * level} {title} {{ #{anchor} }}"
