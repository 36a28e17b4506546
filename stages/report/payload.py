"""What the page's script is given: cells, photographs and sprites as JSON that is safe inside HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.pages import file_name
from activation_atlas.stages.report import captions, classview, heatdata, names, validity
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.evidence import Atlas, Grid, Photo, full_count
from activation_atlas.stages.report.geometry import patch_box
from activation_atlas.stages.report.tiles import Evidence, pictures, side_of_patches, sides, sprite
from activation_atlas.stages.specs import slug


def rounded(values: Any, digits: int = 4) -> list[float | None]:
    return [round(float(v), digits) if np.isfinite(v) else None for v in np.asarray(values, float)]


def describe_atlas(
    atlas: Atlas, evidence: Evidence, order: Mapping[str, int], thumbnails: int, asked: int | None, assets: Assets,
    model: str,
) -> dict[str, Any]:  # fmt: skip
    """One atlas for the script; ``order``: image_id -> index into the page's photographs."""
    side = side_of_patches(atlas, asked)
    grids = []
    for grid in atlas.grids:
        name = f"{slug(atlas.name)}-{grid.n:02}"
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
                "labelled": grid.labelled.tolist() if grid.labelled is not None else grid.images.tolist(),
                "variety": None if grid.variety is None else [rounded(row, 2) for row in grid.variety],
                "away": None if grid.away is None else [[_short(row) for row in rows] for rows in grid.away],
                "argues": [_pairs(a) for a in grid.argues],
                "against": [_pairs(a) for a in grid.against],
                "shares": _shares(atlas, grid),
                "level": None if grid.attribution is None else rounded(grid.attribution.mean(1, dtype=np.float64), 7),
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
                "drawn": [k for k, _ in names.drawn(atlas, grid)],
                "names": {k: names.listed(found) for k, found in enumerate(grid.names) if found},
                "icons": _sheet(f"{name}-icons.webp", pictures(grid), assets, 86) if grid.has_icons else None,
                "photographs": _sheet(f"{name}-photographs.webp", patches, assets, 80) if any(patches) else None,
                "fidelity": {k: rounded(v) for k, v in grid.fidelity.items()} if grid.has_icons else None,
                "heat": heatdata.scripts(f"{name}-attributions", f"{atlas.name}/{grid.n}", grid, assets),
                "trust": {
                    key: [validity.sentence(atlas, grid, key), *validity.own(atlas, grid, key)]
                    for key in classview.possible(atlas, grid)
                },
                "measures": [line for line in (captions.measures(atlas, grid, model), captions.purity(atlas)) if line],
            }
        )
    return {
        "name": atlas.name,
        "kind": atlas.kind,
        "title": captions.title(atlas),
        "subtitle": captions.subtitle(atlas, model),
        "layer": atlas.view.layer,
        "things": captions.things(atlas),
        "pair": list(atlas.view.pair) if atlas.view.pair else None,
        "own": atlas.own_classes,
        "minCount": atlas.min_count,
        "errorRate": None if atlas.error_rate is None else round(atlas.error_rate, 4),
        "mae": None if atlas.mae is None else _short(atlas.mae),
        "statistics": _statistics(atlas),
        "rates": _rates(atlas),
        "attributed": None if atlas.attributed == list(range(len(atlas.classes))) else atlas.attributed,
        "grids": grids,
    }


def _short(values: np.ndarray) -> list[float | None]:
    """To four digits, whatever the unit."""
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values]


def _pairs(found: Sequence[tuple[int, float]]) -> list[list[float]]:
    return [[c, round(v, 4)] for c, v in found if np.isfinite(v)]


def _shares(atlas: Atlas, grid: Grid) -> list[list[list[float]]] | None:
    """Per cell: class, share, mean and whether it is sure, of the classes by :func:`classview.ranked`."""
    if "top_share" not in grid.measured:
        return None
    return [
        [[atlas.attributed[j], round(share, 4), round(mean, 4), int(sure)] for j, share, mean, sure in found]
        for found in classview.ranked(grid)
    ]


def _rates(atlas: Atlas) -> list[float] | None:
    """Of each attributed class the share of all of the map's positions; the same by every grid."""
    grid = atlas.grids[0]
    return rounded(classview.shown(grid, "top_share").rate) if "top_share" in grid.measured else None


def _statistics(atlas: Atlas) -> list[dict[str, Any]]:
    """What can be shown for a class, the statistic to begin with first, in words."""
    grid = atlas.grids[0]
    return [
        {"key": key, "name": classview.NAMES[key], "words": classview.worded(atlas, key)}
        for key in classview.possible(atlas, grid)
    ]


def _sheet(name: str, tiles: Sequence, assets: Assets, quality: int) -> dict[str, Any]:
    content, side, across, places = sprite(tiles, quality=quality)
    return {"src": assets.add(name, content), "side": side, "across": across, "places": places}


def describe_photos(
    photos: Mapping[str, Photo], ids: Sequence[str], evidence: Evidence, assets: Assets
) -> list[dict[str, Any]]:
    """Photographs for the script, in the order of ``ids``."""
    from PIL import Image

    found = []
    for image_id in ids:
        photo = photos[image_id]
        entry: dict[str, Any] = {"name": file_name(photo.uri), "label": photo.label, "pred": photo.pred}
        if photo.said is not None:
            entry["said"] = photo.said
        entry["prob"] = round(photo.prob, 4) if photo.prob is not None and np.isfinite(photo.prob) else None
        if image_id in evidence.thumbnails:
            entry["size"] = Image.open(BytesIO(evidence.thumbnails[image_id])).size
            entry["src"] = assets.add(f"photo-{slug(image_id)}.webp", evidence.thumbnails[image_id])
        elif image_id in evidence.missing:
            entry["missing"] = evidence.missing[image_id]
        found.append(entry)
    return found
