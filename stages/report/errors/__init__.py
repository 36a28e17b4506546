"""The error audit: the worst mistakes, and what in each image speaks for the prediction and for the label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from stages.methods import Method
from stages.report import page, words
from stages.report.errors import figures, matrix, payload, wording
from stages.report.errors.cases import Audit, read_audit
from stages.report.errors.maps import Variant, read_variant
from stages.report.errors.photographs import read_photographs
from stages.report.payload import Assets, plain
from stages.report.sheet import Sheet, encoded
from stages.report.trust import trust_figure
from stages.shares import wilson
from stages.specs import ImagesSpec, Spec
from stages.stage import Inputs

SCRIPTS = ("data.js", "controls.js", "sheets.js", "confusions.js", "errors.js")
STYLES = ("style.css", "doubts.css", "errors.css")


class Explained(Spec):
    """What of the run was explained."""

    select: str
    limit: int | None = None
    methods: list[Method] = Field(min_length=1)
    targets: list[str]
    measured: list[str] = Field(default_factory=list, description="tables that say how far the maps are to be trusted")

    @property
    def variants(self) -> list[str]:
        return [m.variant for m in self.methods]

    @property
    def reads(self) -> list[str]:
        lost = (f"rejects/explain-{name}" for name in self.variants)
        return [*(f"maps/{name}" for name in self.variants), *lost, *self.measured]


@dataclass(frozen=True)
class Written:
    """Files of the audit, and what the run's main page says of it."""

    files: dict[str, bytes]
    facts: dict[str, Any]


def error_audit(
    inputs: Inputs,
    title: str,
    explained: Explained,
    images: ImagesSpec,
    most: int,
    edge: int,
    inline: float,
    about: Mapping[str, Any],
) -> Written:
    """``site/errors.html`` with its assets, ``figures/errors-<variant>.jpg`` and ``figures/confusion.*``.

    Args:
        most: images on the page, see :func:`cases.chosen`.
        edge: longest shorter side of the photographs, in pixels.
        inline: up to so many megabytes of pictures and maps, the page is one single file.
    """
    extract, model = inputs.state("extract", ""), words.model_name(about)
    classes, size = list(extract["classes"]), tuple(int(s) for s in extract["input_size"])
    audit = read_audit(inputs, explained.variants, most)
    photographs, missing = read_photographs(audit.cases, images, size, edge)
    if missing:
        one = min(missing)
        inputs.warn(
            f"{words.plural(len(missing), 'explained photograph')} could not be read again, e.g. {one}: {missing[one]}"
        )
    assets, files = Assets(), {}
    variants = [read_variant(inputs, options, [c.image_id for c in audit.cases], size) for options in explained.methods]
    for variant in variants:
        if variant.maps:
            sheet = figures.error_sheet(variant, audit, classes, photographs, model)
            files[f"figures/errors-{plain(variant.name)}.jpg"] = encoded(sheet, "JPEG", 90)
    whole = audit.labelled > 0 and len(classes) <= matrix.MOST
    if whole:
        sheet = figures.confusion_sheet(audit, classes, model)
        files["figures/confusion.png"], files["figures/confusion.svg"] = sheet.png(), sheet.vector("svg")
    trust = _trust(inputs, explained, model)
    if trust is not None:
        pixels = trust.pixels()
        assets.add("trust.webp", encoded(pixels, "WEBP", 88))
        files["figures/trust.png"], files["figures/trust.svg"] = encoded(pixels, "PNG"), trust.vector("svg")
    data = {
        "classes": classes,
        "crop": wording.CROPS[images.crop],
        "cases": [payload.describe_case(c, variants, photographs, missing, assets) for c in audit.cases],
        "variants": [payload.describe_variant(v, audit.cases, assets) for v in variants],
        "ramps": payload.ramps(),
        "confusions": payload.confusions(audit),
        "matrix": whole,
        "explained": audit.explained,
        "chunk": payload.CHUNK,
        "links": assets.links(round(inline * 1e6)),
    }
    facts = {
        "model": model,
        "doubts": page.doubts(inputs),
        "audit": audit,
        "select": explained.select,
        "limit": explained.limit,
        "interval": wilson(audit.mistakes, audit.labelled) if audit.labelled else None,
        "matrix": matrix.table(audit.counts, classes) if whole else None,
        "flags": [said for v in variants for said in _flagged(v)],
        "missing": len(missing),
        "trust": None if trust is None else (data["links"]["trust.webp"], trust.width, trust.height),
    }
    files["site/errors.html"] = page.rendered("errors.html", title, data, SCRIPTS, STYLES, facts)
    files.update({f"site/assets/{name}": content for name, content in assets.files.items()})
    return Written(files, {"mistakes": audit.mistakes, "explained": audit.explained})


def _trust(inputs: Inputs, explained: Explained, model: str) -> Sheet | None:
    """What deletion, insertion, agreement and shuffled models say of the methods; None where nothing was asked."""
    tables = {name: inputs.table(name) for name in explained.measured if inputs.parts(name)}
    shuffled = {name.partition("/")[2]: table for name, table in tables.items() if name.startswith("randomization/")}
    return trust_figure(tables.get("trust"), tables.get("agreement"), shuffled, model)


def _flagged(variant: Variant) -> list[str]:
    said = {"zero": "zero everywhere", "not finite": "not finite somewhere"}
    return [
        f"{words.number(n)} of {words.plural(variant.rows, 'map')} of {variant.name} {'is' if n == 1 else 'are'} "
        f"{said.get(flag, flag)}"
        for flag, n in sorted(variant.flags.items())
    ]


__all__ = ["Audit", "Explained", "Written", "error_audit"]
