"""The files of ``figures/``, as the pages list them: what each shows, in which forms, how large."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from activation_atlas.stages.drawing.numbers import file_size

KINDS = {
    "icons": "Icons",
    "photographs": "Photographs, the nearest to each cell’s mean",
    "side-by-side": "Icons beside photographs",
    "heat": "Heat maps: where classes are argued for",
    "contact-sheet": "Contact sheet: the largest cells and what they argue for",
}
"""End of an atlas's file name -> what it shows."""

WHOLE = {
    "confusion": "Confusion matrix",
    "measures": "What is predicted beside what is true",
    "trust": "How far the maps can be trusted",
}
PRINT = {"pdf", "svg"}


def figures(files: Mapping[str, bytes], atlases: Mapping[str, str], methods: Mapping[str, str]) -> list[dict[str, Any]]:
    """All files of ``figures/`` in groups; what is of no known kind is listed by its name.

    Args:
        files: path in the run folder -> content; what is not below ``figures/`` is passed over.
        atlases: an atlas's name as it stands in file names -> its title. methods: the same of variants.

    Returns:
        per group ``title`` and ``rows``; of each row ``what`` and ``files``: ``href`` from a page in ``site/``,
        ``form`` (PNG, PDF, ...) and ``size`` in words.
    """
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for path, content in files.items():
        folder, _, name = path.partition("/")
        if folder != "figures":
            continue
        stem, _, suffix = name.rpartition(".")
        title, what = _what(stem, atlases, methods)
        row = groups.setdefault(title, {}).setdefault(stem, {"what": what, "files": []})
        row["files"].append({"href": f"../figures/{name}", "form": suffix.upper(), "size": _size(suffix, content)})
    return [{"title": title, "rows": list(rows.values())} for title, rows in groups.items()]


def _what(stem: str, atlases: Mapping[str, str], methods: Mapping[str, str]) -> tuple[str, str]:
    """Title of the group, and what the figure shows."""
    for name, title in sorted(atlases.items(), key=lambda a: -len(a[0])):
        found = re.fullmatch(rf"{re.escape(name)}(?:-(\d+))?-({'|'.join(KINDS)})", stem)
        if found:
            grid = f"{int(found[1])} × {int(found[1])}: " if found[1] else ""
            what = KINDS[found[2]]
            return f"Atlas {title}", grid + (what[0].lower() + what[1:] if grid else what)
    if stem.startswith("peaks-"):
        return "Channels", f"What excites the channels of {stem.removeprefix('peaks-').replace('__', '/')}"
    if stem == "sparsity":
        return "Channels", "How sparse the layers are"
    method = methods.get(stem.removeprefix("errors-")) if stem.startswith("errors-") else None
    if method:
        return "Mistakes", f"The worst mistakes with their maps, {method}"
    return "Mistakes" if stem in WHOLE else "Further figures", WHOLE.get(stem, stem)


def _size(suffix: str, content: bytes) -> str:
    size = file_size(len(content))
    if suffix in PRINT:
        return f"for print, {size}"
    from PIL import Image

    width, height = Image.open(BytesIO(content)).size
    return f"{width} × {height}, {size}"
