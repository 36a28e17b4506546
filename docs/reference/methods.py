"""Every attribution method: what its map says, its source, its options; from the record it is declared with."""

from __future__ import annotations


def page() -> str:
    return "# Methods\n"
