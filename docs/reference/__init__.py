"""Pages of the reference, written from the code each time the site is built: they say what the code says."""

from __future__ import annotations

from collections.abc import Callable

from docs.reference import commands, configuration, methods, python, stages, tables

PAGES: dict[str, Callable[[], str]] = {
    "reference/configuration.md": configuration.page,
    "reference/commands.md": commands.page,
    "reference/python.md": python.page,
    "reference/stages.md": stages.page,
    "reference/tables.md": tables.page,
    "reference/methods.md": methods.page,
}
"""Where a page stands in the site, and what writes it (Markdown)."""
