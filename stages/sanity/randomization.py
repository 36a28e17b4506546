"""Do maps change when the model forgets? The cascading parameter-randomisation check (Adebayo et al. 2018).

A map that stays what it was although the layers have been shuffled shows the image, not what the model knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.sanity.ranks import correlation, mean, standard
from activation_atlas.stages.sanity.sample import sampled
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.vision.images import ImageError

_COLUMNS = ["image_id", "target", "target_kinds", "height", "width", "map", "flag"]


def stored(inputs: Inputs, table: str, ids: Sequence[str]) -> tuple[dict[str, tuple[int, np.ndarray]], int]:
    """(target, map) of each image: its map for the predicted class, or its first, where that is not flagged.

    And how many images are left out because it is.
    """
    wanted, found, flagged = pa.array(list(ids), pa.string()), {}, 0
    for part in range(inputs.parts(table)):
        maps = sampled(inputs, table, part, _COLUMNS, wanted)
        about = maps.drop_columns(["map"]).to_pylist()
        rows: dict[str, int] = {}
        for k, row in enumerate(about):
            if row["image_id"] not in rows or "predicted" in row["target_kinds"]:
                rows[row["image_id"]] = k
        for image_id, k in rows.items():
            if about[k]["flag"] is None:
                # A copy: as a view it would keep what else was read with it.
                values = np.array(maps["map"][k].values.to_numpy(zero_copy_only=False))
                found[image_id] = (about[k]["target"], values.reshape(about[k]["height"], about[k]["width"]))
            else:
                flagged += 1
    return {i: found[i] for i in ids if i in found}, flagged


def randomization(inputs: Inputs, params: Any) -> list[dict[str, Any]]:
    """A row for each depth of the cascade, from the last layer alone to all layers.

    Random masks and noise are those of the image's own map: what of a map is their trace (of RISE with few masks, how
    often each pixel was shown) stays whatever the model knows, and counts. No rows where no map of the table can be
    made again.
    """
    from activation_atlas.stages.vision.attribution.methods import METHODS, Setting
    from activation_atlas.stages.vision.model.randomised import cascade

    method, options = METHODS[params.method.name], params.method
    chosen = inputs.state("evaluate", options.variant)["chosen"][: params.randomization.images]
    made = inputs.state("explain", options.variant)
    maps, flagged = stored(inputs, f"maps/{options.variant}", chosen)
    first = {i: (standard(v), standard(np.abs(v)) if method.signed else None) for i, (_, v) in maps.items()}
    pixels: dict[str, np.ndarray] = {}
    rows = []
    for depth, layers, name, model in cascade(params.model, params.randomization.depths, params.seed):
        pixels = pixels or _pixels(inputs, params, list(maps), model.input_size, model.channels)
        ids = list(pixels)
        if not ids:
            # That a method's maps say nothing was told before.
            why = "no image of the sample can be read again" if maps else "all maps of the sample say nothing"
            say = inputs.warn if maps else inputs.note
            say(f"sanity: {options.variant} is not compared with shuffled models: {why}")
            return []
        # The layer and its place are the run's: a shuffled model might be asked elsewhere, or lie so by its numbers.
        configured = made["settled"]
        if method.by_weights:
            configured = method.configure(model, options, lambda count: np.stack([pixels[i] for i in ids[:count]]))  # noqa: B023
        explain = method.build(
            Setting(model, options, configured, params.batch, 1, params.seed, made.get("background"))
        )
        plain, absolute = [], []
        for start in range(0, len(ids), params.batch):
            group = ids[start : start + params.batch]
            targets = np.array([[maps[i][0]] for i in group], np.int32)
            for i, (values,) in zip(
                group, explain(np.stack([pixels[i] for i in group]), targets, group).values, strict=True
            ):
                sound = np.isfinite(values).all()
                plain.append(correlation(first[i][0], standard(values)) if sound else None)
                absolute.append(correlation(first[i][1], standard(np.abs(values))) if sound else None)
        about = {"depth": depth, "layers": layers, "layer": name, "images": len(ids), "left_out": flagged}
        signless = {f"{key}_abs": v for key, v in asdict(mean(absolute, params.seed)).items()}
        rows.append({**about, **asdict(mean(plain, params.seed)), **signless})
    return rows


def _pixels(
    inputs: Inputs, params: Any, ids: Sequence[str], size: tuple[int, int], channels: int
) -> dict[str, np.ndarray]:
    """Images at the model's size, uint8 (h, w, c); those that cannot be read again are left out."""
    uris: dict[str, str] = {}
    wanted = set(ids)
    for part in inputs.stream("images", ["image_id", "uri"]):
        uris |= {
            i: u for i, u in zip(part["image_id"].to_pylist(), part["uri"].to_pylist(), strict=True) if i in wanted
        }

    feed = Feed(params.images, at_size(params.images, size, channels))
    read = feed.stream({i: uris[i] for i in ids})
    return {i: image for i, image in read if not isinstance(image, ImageError)}
