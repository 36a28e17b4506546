"""The pages that are written, from the templates of ``stages/viewer``, with everything escaped."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activation_atlas.stages.drawing.numbers import figure, percent, plural, rough, thousands

VIEWER = Path(__file__).parent.parent / "viewer"


def rendered(
    template: str, title: str, data: Any, scripts: Sequence[str], styles: Sequence[str], values: Mapping[str, Any]
) -> bytes:
    """A page that needs no other file than its assets.

    Args:
        template: in ``stages/viewer``, as are ``scripts`` and ``styles``, which go into the page in this order.
        data: for the scripts. values: for the template.
    """
    import jinja2

    env = jinja2.Environment(
        loader=jinja2.FileSystemLoader(VIEWER), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    env.filters.update(
        figure=figure, rough=rough, percent=_percent, number=thousands, plural=plural, file_name=file_name
    )
    fonts = {
        w: base64.b64encode((VIEWER / "fonts" / f"source-sans-3-latin-{w}-normal.woff2").read_bytes()).decode()
        for w in (400, 600)
    }
    trusted = jinja2.utils.markupsafe.Markup
    html = env.get_template(template).render(
        title=title,
        data=trusted(safe_json(data)),
        style=trusted("\n".join((VIEWER / s).read_text(encoding="utf-8") for s in styles)),
        script=trusted("\n".join((VIEWER / s).read_text(encoding="utf-8") for s in scripts)),
        fonts=fonts,
        **values,
    )
    return html.encode("utf-8", "replace")


def _percent(share: float, digits: int = 1) -> str:
    """Number and sign stay on one line."""
    return percent(share, digits).replace(" ", "\N{NO-BREAK SPACE}")


def file_name(uri: str) -> str:
    """The last part of an address: what a person calls the photograph; no folders, no query, no credentials."""
    return re.split(r"[?]", uri)[0].replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def safe_json(value: Any) -> str:
    """JSON that no HTML parser can mistake for markup: ``<``, ``>``, ``&`` and line separators are escaped."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
