"""What the page's script is given: cells, photographs and sprites as JSON that is safe inside HTML."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from stages.report import words
from stages.report.evidence import Atlas, Grid, Photo, full_count
from stages.report.geometry import patch_box
from stages.report.labels import excess, regions
from stages.report.tiles import Evidence, pictures, side_of_patches, sides, sprite

TYPES = {"webp": "image/webp", "js": "text/javascript"}


class Assets:
    """Files beside the page, or, where all are small, data inside it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, name: str, content: bytes) -> str:
        """Its name, to be resolved by :meth:`links`."""
        self.files[name] = content
        return name

    def links(self, most: int) -> dict[str, str]:
        """name -> what to put into ``src``: data URIs if all are at most ``most`` bytes, else paths."""
        if sum(map(len, self.files.values())) > most:
            return {name: f"assets/{name}" for name in self.files}
        links = {
            name: f"data:{TYPES[name.rsplit('.', 1)[-1]]};base64,{base64.b64encode(content).decode('ascii')}"
            for name, content in self.files.items()
        }
        self.files = {}
        return links


def safe_json(value: Any) -> str:
    """JSON that no HTML parser can mistake for markup: ``<``, ``>``, ``&`` and line separators are escaped."""
    text = json.dumps(value, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def plain(name: str) -> str:
    """A name as part of a file name: ASCII letters, digits, ``.``, ``_`` and ``-``; never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "atlas"


def rounded(values: Any, digits: int = 4) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in np.asarray(values, float)]


def file_name(uri: str) -> str:
    """The last part of an address: what a person calls the photograph; no folders, no query, no credentials."""
    return re.split(r"[?]", uri)[0].replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


def describe_atlas(
    atlas: Atlas, evidence: Evidence, order: Mapping[str, int], thumbnails: int, asked: int | None, assets: Assets,
    model: str,
) -> dict[str, Any]:  # fmt: skip
    """One atlas for the script; ``order``: image_id -> index into the page's photographs."""
    side = side_of_patches(atlas, asked)
    grids = []
    for grid in atlas.grids:
        name = f"{plain(atlas.name)}-{grid.n:02}"
        patches = [evidence.patches.get((atlas.name, grid.n, k)) for k in range(len(grid))]
        grids.append(
            {
                "n": grid.n,
                "x": grid.x.tolist(),
                "y": grid.y.tolist(),
                "count": grid.count.tolist(),
                "images": grid.images.tolist(),
                "side": rounded(sides(grid, atlas.min_count), 3),
                "full": full_count(grid, atlas.min_count),
                "error": rounded(grid.error_rate),
                "entropy": rounded(grid.entropy, 3),
                "argues": [_pairs(a) for a in grid.argues],
                "against": [_pairs(a) for a in grid.against],
                "apart": _apart(atlas, grid),
                "exemplars": [
                    [
                        [
                            order[m[0]],
                            *(round(1000 * v) for v in patch_box(m[1], m[2], side, atlas.layer, atlas.input_size)),
                        ]
                        for m in members[:thumbnails]
                        if m[0] in order
                    ]
                    for members in grid.exemplars
                ],
                "regions": [
                    [r.class_index, round(r.x, 2), round(r.y, 2), round(r.weight, 3), len(r.cells)]
                    for r in regions(atlas, grid)
                ],
                "icons": _sheet(f"{name}-icons.webp", pictures(grid), assets, 86) if grid.has_icons else None,
                "photographs": _sheet(f"{name}-photographs.webp", patches, assets, 80) if any(patches) else None,
                "fidelity": {k: rounded(v) for k, v in grid.fidelity.items()} if grid.has_icons else None,
                "heat": _heat(f"{name}-attributions.js", f"{atlas.name}/{grid.n}", grid, assets),
                "measures": words.measures(atlas, grid, model),
            }
        )
    return {
        "name": atlas.name,
        "kind": atlas.kind,
        "title": words.title(atlas),
        "subtitle": words.subtitle(atlas, model),
        "layer": atlas.view.layer,
        "things": words.things(atlas),
        "pair": list(atlas.view.pair) if atlas.view.pair else None,
        "own": atlas.own_classes,
        "minCount": atlas.min_count,
        "attributed": None if atlas.attributed == list(range(len(atlas.classes))) else atlas.attributed,
        "grids": grids,
    }


def _pairs(found: Sequence[tuple[int, float]]) -> list[list[float]]:
    return [[c, round(v, 4)] for c, v in found if np.isfinite(v)]


def _apart(atlas: Atlas, grid: Grid, most: int = 3) -> list[list[list[float]]]:
    """Per cell: the classes it argues for most beyond the mean of the atlas."""
    values = excess(grid)
    if values is None or len(grid) < 2:
        return [[] for _ in range(len(grid))]
    first = np.argsort(-values, axis=1, kind="stable")[:, :most]
    return [
        [[atlas.attributed[j], round(float(v[j]), 4)] for j in js if v[j] > 0]
        for js, v in zip(first, values, strict=True)
    ]


def _sheet(name: str, tiles: Sequence, assets: Assets, quality: int) -> dict[str, Any]:
    content, side, across, places = sprite(tiles, quality=quality)
    return {"src": assets.add(name, content), "side": side, "across": across, "places": places}


def _heat(name: str, key: str, grid: Grid, assets: Assets) -> dict[str, Any] | None:
    """All mean attributions in 8 bits, one scale per class, as a script that is loaded when first asked for.

    A script and not JSON: a page opened from a file may load scripts, but may not fetch.
    """
    if grid.attribution is None:
        return None
    values = np.nan_to_num(grid.attribution.astype(np.float64))
    scale = np.maximum(np.abs(values).max(0), 1e-9)
    levels = np.rint(values / scale * 127).astype(np.int8)
    data = base64.b64encode(np.ascontiguousarray(levels.T).tobytes()).decode("ascii")
    scales = [float(f"{s:.5g}") for s in scale]
    text = f"activationAtlasData({safe_json(key)},{safe_json({'scale': scales, 'levels': data})});"
    return {"src": assets.add(name, text.encode("ascii")), "key": key}


def describe_photos(
    photos: Mapping[str, Photo], ids: Sequence[str], evidence: Evidence, assets: Assets
) -> list[dict[str, Any]]:
    """Photographs for the script, in the order of ``ids``."""
    from PIL import Image

    found = []
    for image_id in ids:
        photo = photos[image_id]
        entry: dict[str, Any] = {"name": file_name(photo.uri), "label": photo.label, "pred": photo.pred}
        entry["prob"] = round(photo.prob, 4) if photo.prob is not None and np.isfinite(photo.prob) else None
        if image_id in evidence.thumbnails:
            entry["size"] = Image.open(BytesIO(evidence.thumbnails[image_id])).size
            entry["src"] = assets.add(f"photo-{plain(image_id)}.webp", evidence.thumbnails[image_id])
        elif image_id in evidence.missing:
            entry["missing"] = evidence.missing[image_id]
        found.append(entry)
    return found
