"""What a map that knows nothing scores where the methods' maps are held against those of a shuffled model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from activation_atlas.stages import tables
from activation_atlas.stages.correlation import correlation, standard
from activation_atlas.stages.methods import RANDOM
from activation_atlas.stages.sanity.ranks import mean
from activation_atlas.stages.stage import Inputs


def chance(
    inputs: Inputs, variants: Sequence[str], random: str, size: tuple[int, int], seed: int
) -> list[dict[str, Any]]:
    """A row of ``randomization``, all layers shuffled, for a map that is drawn anew for each model.

    Rank correlation of an image's random map with another draw of it: near 0, and as far from it as maps of that
    grain are by chance. It is the best there is, of a map that says nothing: the check finds maps that stay, and does
    not tell knowing from noise.

    Args:
        variants: those set against it: of the same images, all that have a row at their last depth.
        size: of the model's input, on whose pixels it is drawn.
    """
    about, ids = None, set()
    for variant in variants:
        for part in inputs.stream(f"shuffled/{variant}", ["image_id", "depth", "layers", "layer"]):
            rows = [row for row in part.to_pylist() if row["depth"] == row["layers"]]
            ids |= {row["image_id"] for row in rows}
            about = {name: rows[0][name] for name in ("depth", "layers", "layer")} if rows else about
    if about is None:
        return []
    values = [_again(image_id, seed, size, random == RANDOM[0]) for image_id in sorted(ids)]
    row = {**dict.fromkeys(tables.randomization().names), **about, "images": len(values), "left_out": 0}
    nothing = {name: 0 for name in row if name.startswith("n_")}
    return [{**row, **nothing, **asdict(mean(values, seed))}]


def _again(image_id: str, seed: int, size: tuple[int, int], smooth: bool) -> float | None:
    from activation_atlas.stages.vision.attribution.pixels import random_map

    first, then = (standard(random_map(image_id, drawn, size, smooth)) for drawn in (seed, seed + 1))
    return correlation(first, then)


def set_against(against: Mapping[str, str], random: str) -> list[str]:
    """The variants whose random map is ``random``, in the order of their names."""
    return sorted(variant for variant, own in against.items() if own == random)
