"""Statistics of all classes over a grid, in 8 bits each, as scripts that the page loads when first asked for.

Scripts and not JSON: a page opened from a file may load scripts, but may not fetch.
"""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.pages import safe_json
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.classview import shown
from activation_atlas.stages.report.evidence import Grid

OCTAVE = 8
"""Levels to a doubling of what spans many orders of magnitude: steps of 9 %."""


def scripts(name: str, key: str, grid: Grid, assets: Assets) -> dict[str, Any] | None:
    """``share`` (top_share) and ``mean`` (plain and relative), each {src, key}; those that there are.

    Planes follow one another, each cell by cell. Shares: their square roots, 0 to 255; then log2(n + 1) of the
    positions they tell as much as. Means: signed, up to a scale per class; then half the interval's width against that
    scale, 255 where nothing is known; then by how much its level is another (modulo 256) for the relative mean.
    """
    if grid.attribution is None:
        return None
    found = {"mean": _script(f"{name}-mean.js", f"{key}/mean", *_means(grid), assets)}
    if "top_share" in grid.measured:
        found["share"] = _script(f"{name}-share.js", f"{key}/share", *_shares(grid), assets)
    return found


def _shares(grid: Grid) -> tuple[list[np.ndarray], dict[str, Any]]:
    of = shown(grid, "top_share")
    spread = np.full(of.values.shape, 255.0) if of.spread is None else OCTAVE * np.log2(1 + of.spread)
    planes = [np.rint(255 * np.sqrt(of.values)), np.clip(np.rint(spread), 0, 255)]
    return [p.astype(np.uint8) for p in planes], {"rate": _short(of.rate)}


def _means(grid: Grid) -> tuple[list[np.ndarray], dict[str, Any]]:
    of = shown(grid, "mean")
    scale = np.maximum(np.abs(of.values).max(0), 1e-9)
    planes = [np.rint(np.nan_to_num(of.values) / scale * 127).astype(np.int8).view(np.uint8)]
    for statistic in ("mean", "relative"):
        half = shown(grid, statistic).spread
        if half is None:
            planes.append(np.zeros(of.values.shape, np.uint8))
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            levels = np.clip(np.rint(128 + OCTAVE * np.log2(half / scale)), 0, 254)
        planes.append(np.where(np.isnan(half), 255, levels).astype(np.uint8))
    planes[2] = planes[2] - planes[1]
    return planes, {"scale": _short(scale), "rate": _short(of.rate)}


def _short(values: np.ndarray) -> list[float]:
    return [float(f"{v:.5g}") for v in values]


def _script(name: str, key: str, planes: list[np.ndarray], also: dict[str, Any], assets: Assets) -> dict[str, str]:
    packed = base64.b64encode(zlib.compress(np.stack(planes).tobytes(), 9)).decode("ascii")
    text = f"activationAtlasData({safe_json(key)},{safe_json({**also, 'packed': packed})});"
    return {"src": assets.add(name, text.encode("ascii")), "key": key}
