"""The error audit: the worst mistakes, and what in each image speaks for the prediction and for the label."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from activation_atlas.stages.drawing import captions as method_captions
from activation_atlas.stages.drawing.numbers import plural, thousands
from activation_atlas.stages.drawing.pages import rendered
from activation_atlas.stages.drawing.sheet import Sheet, encoded
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.report import captions, listed, page
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.audited import Audited, carried
from activation_atlas.stages.report.errors import figures, matrix, measured, payload, wording
from activation_atlas.stages.report.errors.asked import Explained
from activation_atlas.stages.report.errors.cases import Audit, read_audit
from activation_atlas.stages.report.errors.maps import FIT, Variant, read_variant
from activation_atlas.stages.report.errors.opening import Opening, agrees, opening
from activation_atlas.stages.report.errors.photographs import given_boxes, read_photographs
from activation_atlas.stages.report.trust import trust_figure
from activation_atlas.stages.specs import ImagesSpec, slug
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tables.flags import SILENT
from activation_atlas.stages.vision.images import Fit

SCRIPTS = (
    "data.js", "controls.js", "closer.js", "frames.js", "sheets.js", "confusions.js", "closeups.js", "errors.js",
)  # fmt: skip
STYLES = ("style.css", "closer.css", "doubts.css", "errors.css")


@dataclass(frozen=True)
class Written:
    """Files of the audit, what the run's main page says of it, and its figures as :mod:`listed` gives them."""

    files: dict[str, bytes]
    facts: dict[str, Any]
    figures: list[dict[str, Any]]


def error_audit(
    inputs: Inputs,
    title: str,
    explained: Explained | None,
    images: ImagesSpec,
    most: int,
    edge: int,
    inline: float,
    about: Mapping[str, Any],
    known: Collection[str] = (),
    textbook: bool = False,
    audited: Audited | None = None,
) -> Written | None:
    """``site/errors.html`` with its assets, ``figures/errors-<variant>.jpg`` and ``figures/confusion.*``.

    None where there is nothing to show: no map, and no label either.

    Args:
        explained: None where no maps were asked for; mistakes need none.
        most: images on the page, see :func:`cases.chosen`.
        edge: longest shorter side of the photographs, in pixels.
        inline: up to so many megabytes of pictures and maps, the page is one single file.
        known: ids of photographs that are known to be gone: of these no word is lost again.
        textbook: whether there is a page of what the network has learned.
        audited: what an audit found; its mistakes are on the page, too.
    """
    extract, model = inputs.state("extract", ""), captions.model_name(about)
    classes, size = list(extract["classes"]), tuple(int(s) for s in extract["input_size"])
    explained = explained or Explained()
    audit = read_audit(inputs, explained.variants, most, audited.mistakes if audited else ())
    if not (explained.methods or audit.labelled):
        return None
    boxes = given_boxes(inputs, audit.cases, explained.boxes)
    photographs = read_photographs(audit.cases, images, size, edge, boxes)
    missing = photographs.missing
    if lost := sorted(missing.keys() - set(known)):
        how_many = plural(len(lost), "photograph")
        inputs.warn(f"{how_many} of the page of mistakes could not be read again, e.g. {lost[0]}: {missing[lost[0]]}")
    assets, files = Assets(), {}
    ids = [c.image_id for c in audit.cases]
    task = audit.task
    having = carried(inputs, audited, ids) if audited else {}
    how = (ids, size, task.measured, explained.boxed)
    variants = [read_variant(inputs, options.at(size), *how) for options in explained.methods]
    for variant in variants:
        if variant.maps:
            sheet = figures.error_sheet(variant, audit, classes, photographs.pictures, model)
            files[f"figures/errors-{slug(variant.name)}.jpg"] = encoded(sheet, "JPEG", 90)
    whole = audit.labelled > 0 and len(classes) <= matrix.MOST and not (task.several or task.measured)
    rows = measured.by_output(inputs, audit) if audit.labelled and (task.several or task.measured) else []
    pixels = {}
    if rows:
        drawn = (
            measured.quantities_sheet(inputs, rows, audit, model)
            if task.measured
            else measured.labels_sheet(rows, audit, model)
        )
        pixels["measures"] = drawn.pixels()
        assets.add("measures.webp", encoded(pixels["measures"], "WEBP", 88))
        files["figures/measures.png"], files["figures/measures.svg"] = drawn.png(), drawn.vector("svg")
    if whole:
        sheet = figures.confusion_sheet(audit, classes, model)
        files["figures/confusion.png"], files["figures/confusion.svg"] = sheet.png(), sheet.vector("svg")
    scores = {name: inputs.table(name) for name in explained.measured if inputs.parts(name)}
    trust = _trust(scores, model)
    if trust is not None:
        pixels["trust"] = trust.pixels()
        assets.add("trust.webp", encoded(pixels["trust"], "WEBP", 88))
        files["figures/trust.png"], files["figures/trust.svg"] = encoded(pixels["trust"], "PNG"), trust.vector("svg")
    opens, agreed = _standing(scores, explained)
    shown = listed.figures(files, {}, {slug(v.name): method_captions.title(v.options) for v in variants})
    data = {
        "classes": classes,
        "crop": wording.crops(Fit.of(images)),
        "cases": [
            payload.describe_case(c, variants, photographs, assets, classes, task, having.get(c.image_id))
            for c in audit.cases
        ],
        "variants": [_described(v, audit, assets, agreed) for v in variants],
        "opens": {"variant": opens.variant, "why": opens.why},
        "ramps": payload.ramps(),
        "confusions": payload.confusions(audit),
        "matrix": whole,
        "several": task.several,
        "measured": task.measured,
        "flags": SILENT,
        "fit": FIT,
        "chunk": payload.CHUNK,
        "cues": [[cue["candidate"], cue["words"]] for cue in audited.cues] if audited else [],
        "links": assets.links(round(inline * 1e6)),
    }
    facts = {
        "model": model,
        "doubts": page.doubts(inputs),
        "audit": audit,
        "select": explained.select,
        "limit": explained.limit,
        "maps": bool(variants),
        "interval": wilson(audit.mistakes, audit.labelled) if audit.labelled else None,
        "matrix": matrix.table(audit.counts, classes) if whole else None,
        "measures": rows,
        "sheet": _placed(data["links"], pixels, "measures"),
        "flags": [said for v in variants for said in (*_flagged(v, bool(scores)), *wording.unfit(v))],
        "missing": len(missing),
        "figures": shown,
        "textbook": textbook,
        "audited": audited,
        "trust": _placed(data["links"], pixels, "trust"),
    }
    files["site/errors.html"] = rendered("errors.html", title, data, SCRIPTS, STYLES, facts)
    files.update({f"site/assets/{name}": content for name, content in assets.files.items()})
    facts = {"mistakes": audit.mistakes, "explained": audit.explained, "maps": bool(variants)}
    return Written(files, facts, shown)


def _described(variant: Variant, audit: Audit, assets: Assets, agreed: Mapping[str, str]) -> dict[str, Any]:
    """A variant for the script, with how far it agrees with the others."""
    told = payload.describe_variant(variant, audit.cases, assets, audit.task)
    return {**told, "agrees": agreed.get(variant.name, "")}


def _placed(links: Mapping[str, str], pixels: Mapping[str, Any], name: str) -> tuple[str, int, int] | None:
    """Where a figure's picture is, and its width and height; None where it was not drawn."""
    return (links[f"{name}.webp"], *pixels[name].shape[1::-1]) if name in pixels else None


def _trust(measured: Mapping[str, pa.Table], model: str) -> Sheet | None:
    """What pixels taken away, agreement and shuffled models say of the methods; None where nothing was asked."""
    trust, agreement, curves = (measured.get(name) for name in ("trust", "agreement", "road_curves"))
    return trust_figure(trust, agreement, _shuffled(measured), curves, model)


def _shuffled(measured: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Variant to its table of ``randomization``."""
    return {name.partition("/")[2]: t for name, t in measured.items() if name.startswith("randomization/")}


def _standing(measured: Mapping[str, pa.Table], explained: Explained) -> tuple[Opening, dict[str, str]]:
    """The method the page opens on, and a sentence on each one's agreement with the others."""
    titles = {options.variant: method_captions.title(options) for options in explained.methods}
    rows = {name: measured[name].to_pylist() if name in measured else [] for name in ("trust", "agreement")}
    shuffled = {name: table.to_pylist() for name, table in _shuffled(measured).items()}
    return opening(titles, rows["trust"], shuffled), agrees(titles, rows["agreement"])


def _flagged(variant: Variant, scored: bool) -> list[str]:
    """One sentence on the maps that say nothing, where there are any."""
    if not variant.flags:
        return []
    why = ", ".join(f"{thousands(n)} {SILENT.get(flag, flag)}" for flag, n in sorted(variant.flags.items()))
    count = variant.flags.total()
    left_out = f" and {'is' if count == 1 else 'are'} left out of all means" if scored else ""
    says = "says" if count == 1 else "say"
    of = f"{thousands(count)} of {plural(variant.rows, 'map')} of {variant.name}"
    return [f"{of} {says} nothing of where ({why}){left_out}"]


__all__ = ["Audit", "Explained", "Written", "error_audit"]
