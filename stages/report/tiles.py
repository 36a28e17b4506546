"""From icons and photographs to the tiles of an atlas: density sizes, patches, rasters and sprite sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.drawing.sheet import encoded, photograph
from activation_atlas.stages.report.evidence import Atlas, Grid, Photo, full_count
from activation_atlas.stages.report.geometry import patch_box, patch_side
from activation_atlas.stages.specs import ImagesSpec
from activation_atlas.stages.stage import Inputs

if TYPE_CHECKING:
    from PIL.Image import Image

SMALLEST = 0.3
"""Side of the smallest tile, as a share of its cell."""


def sides(grid: Grid, min_count: int) -> np.ndarray:
    """Side of each cell's tile as a share of the cell: the square root of its count, clipped; 0 below ``min_count``.

    A tile's area is thus proportional to the number of rows it stands for
    (Carter et al. 2019), up to :func:`full_count`.
    """
    share = np.clip(np.sqrt(grid.count / full_count(grid, min_count)), SMALLEST, 1.0)
    return np.where(grid.count >= min_count, share, 0.0)


@dataclass
class Evidence:
    """What was cut from the photographs.

    Attributes:
        patches: (atlas, n, cell) -> the best exemplar's patch.
        strips: (atlas, n, cell) -> patches of several exemplars, for the contact sheet.
        thumbnails: image_id -> WebP bytes of what the model was shown.
        missing: image_id -> why a photograph could not be read again.
    """

    patches: dict[tuple[str, int, int], Image] = field(default_factory=dict)
    strips: dict[tuple[str, int, int], list[Image]] = field(default_factory=dict)
    thumbnails: dict[str, bytes] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def icon_side(atlas: Atlas) -> int | None:
    """Side of the atlas's icons in pixels; None where it has none."""
    from PIL import Image

    for grid in atlas.grids:
        for icon in grid.icons:
            if icon is not None:
                return max(Image.open(BytesIO(icon)).size)
    return None


def side_of_patches(atlas: Atlas, asked: int | None) -> float:
    """Side of the atlas's exemplar patches in pixels of the model's input; see :func:`geometry.patch_side`."""
    return patch_side(atlas.layer, atlas.input_size, icon_side(atlas), asked)


def cut(
    inputs: Inputs,
    images: ImagesSpec,
    atlases: Sequence[Atlas],
    photos: dict[str, Photo],
    thumbnails: int,
    strips: dict[tuple[str, int, int], int],
    asked_side: int | None,
    edge: int,
    extent: int,
) -> Evidence:
    """Reads every photograph that is an exemplar once and cuts all that the report needs of it.

    Args:
        photos: image_id -> its address.
        thumbnails: exemplars of each cell that are kept as thumbnails.
        strips: (atlas, n, cell) -> exemplars wanted for the contact sheet.
        asked_side: side of a patch in input pixels, None: chosen per atlas.
        edge: longest shorter side of a thumbnail, in pixels.
        extent: side of a poster's map, in pixels; patches are kept no larger than its cells.
    """
    from PIL import Image

    from activation_atlas.stages.feed import Feed, as_shown
    from activation_atlas.stages.vision.images import ImageError

    jobs: dict[str, list[tuple[tuple[str, int, int], int, tuple, int]]] = {}
    shown: set[str] = set()
    for atlas in atlases:
        side = side_of_patches(atlas, asked_side)
        for grid in atlas.grids:
            pixels = max(96, cell_pixels(grid.n, extent))
            for k, members in enumerate(grid.exemplars):
                key = (atlas.name, grid.n, k)
                shown.update(m[0] for m in members[:thumbnails])
                for rank, (image_id, row, col) in enumerate(members[: max(1, strips.get(key, 1))]):
                    box = patch_box(row, col, side, atlas.layer, atlas.input_size)
                    jobs.setdefault(image_id, []).append((key, rank, box, pixels))
    evidence = Evidence()
    wanted = sorted((i for i in {*jobs, *shown} if i in photos), key=lambda i: (photos[i].uri, i))
    evidence.missing = {i: "not in the images table" for i in {*jobs, *shown} if i not in photos}
    cuts: dict[tuple[str, int, int], dict[int, Any]] = {}
    size = atlases[0].input_size if atlases else (1, 1)
    feed = Feed(images, as_shown(images, size, edge))
    for image_id, views in feed.stream({i: photos[i].uri for i in wanted}):
        if isinstance(views, ImageError):
            evidence.missing[image_id] = views.reason
            continue
        view = Image.fromarray(views.squeezed)
        if image_id in shown:
            evidence.thumbnails[image_id] = photograph(views.undistorted)
        for key, rank, (left, top, right, bottom), most in jobs.get(image_id, ()):
            area = (left * view.width, top * view.height, right * view.width, bottom * view.height)
            out = max(1, min(most, round(max(area[2] - area[0], area[3] - area[1]))))
            cuts.setdefault(key, {})[rank] = view.resize((out, out), Image.Resampling.LANCZOS, box=area)
    for key, found in cuts.items():
        if 0 in found:
            evidence.patches[key] = found[0]
        if key in strips:
            evidence.strips[key] = [found[r] for r in sorted(found)]
    return evidence


def cell_pixels(n: int, extent: int) -> int:
    """Side of a cell on a map of about ``extent`` pixels: at least 2 % of it, at most a tenth."""
    return max(extent // 50, extent // max(n, 10), 1)


def pictures(grid: Grid) -> list[Image | None]:
    """The icons, opened."""
    from PIL import Image

    return [None if icon is None else Image.open(BytesIO(icon)).convert("RGB") for icon in grid.icons]


def raster(grid: Grid, tiles: Sequence[Image | None], shares: np.ndarray, cell: int) -> np.ndarray:
    """The atlas as RGBA pixels (n cell, n cell, 4): every tile centred in its cell, transparent elsewhere."""
    from PIL import Image

    whole = Image.new("RGBA", (grid.n * cell, grid.n * cell), (0, 0, 0, 0))
    for x, y, share, tile in zip(grid.x, grid.y, shares, tiles, strict=True):
        if tile is None or share <= 0:
            continue
        side = max(2, round(share * cell))
        left, top = int(x) * cell + (cell - side) // 2, int(y) * cell + (cell - side) // 2
        whole.paste(tile.resize((side, side), Image.Resampling.LANCZOS), (left, top))
    return np.asarray(whole)


def sprite(tiles: Sequence[Image | None], most: int = 96, quality: int = 84) -> tuple[bytes, int, int, list[int]]:
    """All tiles on one sheet, for the page.

    Returns:
        WebP bytes, the side of a tile in pixels, tiles in a row, and for each
        tile its place on the sheet (-1 where it is None).
    """
    from PIL import Image

    present = [t for t in tiles if t is not None]
    across = max(1, int(np.ceil(np.sqrt(len(present)))))
    side = max(8, min(most, max((t.width for t in present), default=8), 8192 // across))
    whole = Image.new("RGB", (across * side, max(1, -(-len(present) // across)) * side), (128, 128, 128))
    places, next_place = [], 0
    for tile in tiles:
        if tile is None:
            places.append(-1)
            continue
        fitted = tile if tile.size == (side, side) else tile.resize((side, side), Image.Resampling.LANCZOS)
        whole.paste(fitted, (next_place % across * side, next_place // across * side))
        places.append(next_place)
        next_place += 1
    return encoded(np.asarray(whole), "WEBP", quality), side, across, places
