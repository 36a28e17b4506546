"""What the script of the error page is given: cases as JSON, maps in 8 bits."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

from activation_atlas.stages.drawing import captions
from activation_atlas.stages.drawing.overlays import coloured
from activation_atlas.stages.drawing.pages import safe_json
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.errors import wording
from activation_atlas.stages.report.errors.cases import NEITHER, Audit, Case
from activation_atlas.stages.report.errors.maps import Map, Variant
from activation_atlas.stages.report.errors.photographs import Photographs
from activation_atlas.stages.report.errors.telling import line, own_first, title
from activation_atlas.stages.specs import slug
from activation_atlas.stages.tasks import CLASSES, Task

CHUNK = 100
"""Cases whose maps are in one script; it is loaded when the first of them comes into view."""

LOST = -128
"""Level of a value that is not finite."""


def describe_case(
    case: Case,
    variants: Sequence[Variant],
    photographs: Photographs,
    assets: Assets,
    classes: Sequence[str],
    task: Task = CLASSES,
    cues: Sequence[int] | None = None,
) -> dict[str, Any]:
    """One case for the script; ``targets``: [class, kinds] of the maps that any variant has of it; ``title`` and
    ``line``: its words, where the script has none of its own; ``boxes``: the given ones, in shares of the picture;
    ``cues``: candidates of the verified cues that it shows."""
    from PIL import Image

    maps = own_first(case, next((v.maps[case.image_id] for v in variants if case.image_id in v.maps), []), task)
    entry: dict[str, Any] = {
        "id": case.image_id,
        "name": case.name or case.image_id,
        "label": case.label,
        "pred": case.pred,
        "prob": _share(case.prob),
        "labelProb": _share(case.label_prob),
        "second": case.second,
        "secondProb": _share(case.second_prob),
        "mistake": case.mistake,
        "rank": case.rank,
        "targets": [[m.target, m.kinds] for m in maps],
    }
    if (words := title(case, classes, task)) is not None:
        entry |= {"title": words, "line": line(case, classes, task)}
    if case.image_id in photographs.pictures:
        content = photographs.pictures[case.image_id]
        entry["size"] = Image.open(BytesIO(content)).size
        entry["src"] = assets.add(f"mistake-{slug(case.image_id)}.webp", content)
    else:
        entry["missing"] = photographs.missing.get(case.image_id, "not read")
    if cues:
        entry["cues"] = list(cues)
    if case.image_id in photographs.boxes:
        entry["boxes"] = [_placed(box) for box in photographs.boxes[case.image_id]]
    return entry


def _placed(box: Sequence[float]) -> list[float]:
    return [round(float(share), 4) for share in box]


def _share(value: float | None) -> float | None:
    return round(float(value), 5) if value is not None and np.isfinite(value) else None


def describe_variant(variant: Variant, cases: Sequence[Case], assets: Assets, task: Task = CLASSES) -> dict[str, Any]:
    """One variant for the script; its maps become assets, :data:`CHUNK` cases each."""
    chunks = []
    for start in range(0, len(cases), CHUNK):
        part = [own_first(c, variant.maps.get(c.image_id, []), task) for c in cases[start : start + CHUNK]]
        key = f"{variant.name}/{start // CHUNK}"
        # A script and not JSON: a page opened from a file may load scripts, but may not fetch.
        text = f"activationAtlasMaps({safe_json(key)},{safe_json(_chunk(variant, part))});"
        name = f"maps-{slug(variant.name)}-{start // CHUNK:03}.js"
        chunks.append({"key": key, "src": assets.add(name, text.encode("ascii"))})
    return {
        "name": variant.name,
        "title": captions.title(variant.options),
        "meaning": captions.meaning(variant.options, variant.measured),
        "placement": wording.placement(variant),
        "signed": variant.style.signed,
        "byClass": METHODS[variant.options.name].by_class,
        "segmented": variant.style.how == "nearest",
        "boxed": any(m.box for maps in variant.maps.values() for m in maps),
        "fit": wording.fit(variant),
        "step": list(variant.step),
        "lost": wording.lost(variant),
        "faded": variant.style.faded,
        "opacity": variant.style.opacity,
        "unit": "" if variant.measured else METHODS[variant.options.name].unit,
        "shape": list(variant.shown),
        "axes": variant.axes(),
        "chunks": chunks,
        "flags": dict(sorted(variant.flags.items())),
        "rows": variant.rows,
    }


def _chunk(variant: Variant, cases: Sequence[Sequence[Map]]) -> dict[str, Any]:
    """The maps of some cases.

    Returns:
        tops: per case the top of its scale, None where each map has its own; maps: per case [target, kinds, flag,
        score, largest value, its cell, top of its scale, box, its IoU with the given one, fit] of each map; levels: the
        values of all maps in the same order, int8, base64.
    """
    described, levels, tops = [], [], []
    for maps in cases:
        scales = variant.scales(maps)
        tops.append(None if variant.measured else scales[0] if scales else 1.0)
        described.append(
            [[m.target, m.kinds, m.flag, *_extent(m), top, *_told(m)] for m, top in zip(maps, scales, strict=True)]
        )
        levels += [quantised(m.values, top) for m, top in zip(maps, scales, strict=True)]
    flat = np.concatenate([v.ravel() for v in levels]) if levels else np.zeros(0, np.int8)
    return {
        "tops": tops,
        "maps": described,
        "levels": base64.b64encode(flat.tobytes()).decode("ascii"),
    }


def _extent(shown: Map) -> list[float | None]:
    """Score and largest value shown, to 4 digits, None where not finite; the cell of the largest, row by row."""
    finite = np.where(np.isfinite(shown.values), shown.values, -np.inf)
    return [*(float(f"{v:.4g}") if np.isfinite(v) else None for v in (shown.score, finite.max())), int(finite.argmax())]


def _told(shown: Map) -> list[Any]:
    """Box, IoU and fit, None where there are none."""
    box = None if shown.box is None else _placed(shown.box)
    return [box, *(None if v is None or not np.isfinite(v) else round(v, 3) for v in (shown.iou, shown.fit))]


def quantised(values: np.ndarray, top: float) -> np.ndarray:
    """int8 levels, +-127 for +-``top`` and beyond, :data:`LOST` where not finite: finer than a screen shows."""
    finite = np.isfinite(values)
    levels = np.rint(np.clip(np.where(finite, values, 0) / top, -1, 1) * 127)
    return np.where(finite, levels, LOST).astype(np.int8)


def ramps() -> dict[str, str]:
    """The colours of the pictures, RGBA of 256 values from the bottom of each scale to its top, base64."""
    found = {}
    for name, signed in (("signed", True), ("unsigned", False)):
        values = np.linspace(-1 if signed else 0, 1, 256, dtype=np.float64)
        found[name] = base64.b64encode(coloured(values[None], 1.0, signed).tobytes()).decode("ascii")
    return found


def confusions(audit: Audit) -> list[list[int | None]]:
    """[label, prediction, images] of every kind of mistake, the most frequent first; None for what is no class."""
    found = [[label, pred, n] for (label, pred), n in audit.counts.items() if label != pred]
    ordered = sorted(found, key=lambda c: (-c[2], c[0], c[1]))
    return [[None if k == NEITHER else k for k in (label, pred)] + [n] for label, pred, n in ordered]
