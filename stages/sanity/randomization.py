"""Do maps change when the model forgets? The cascading parameter-randomisation check (Adebayo et al. 2018).

A map that stays what it was although the layers have been shuffled shows the image, not what the model knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.correlation import correlation, standard
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.feed.regions import regions_of
from activation_atlas.stages.methods import METHODS
from activation_atlas.stages.sanity.ranks import mean
from activation_atlas.stages.sanity.sample import sampled
from activation_atlas.stages.sanity.smooth import averaged
from activation_atlas.stages.stage import Inputs, State
from activation_atlas.stages.vision.images import Fit, ImageError

if TYPE_CHECKING:
    from activation_atlas.stages.vision.attribution.methods import Explain
    from activation_atlas.stages.vision.model import Model

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


def sample(inputs: Inputs, params: Any) -> State:
    """The maps that are made again, n of them: their images, targets (n,), maps (n, h, w) float32; how many are
    left out. ``smooth``, where that form is asked for: the same averaged over noisy copies, NaN where the image cannot
    be read again.
    """
    variant = params.method.variant
    chosen = inputs.state("evaluate", variant)["chosen"][: params.randomization.images]
    maps, flagged = stored(inputs, f"maps/{variant}", chosen)
    if not maps:
        # That a method's maps say nothing was told before.
        inputs.note(_not_compared(variant, "all maps of the sample say nothing"))
    values = np.stack([v for _, v in maps.values()]) if maps else np.zeros((0, 0, 0), np.float32)
    targets = np.array([target for target, _ in maps.values()], np.int32)
    state: State = {"images": list(maps), "targets": targets, "maps": values, "left_out": flagged}
    if params.randomization.smooth is not None and maps:
        from activation_atlas.stages.vision.model import open_model

        model = open_model(params.model)
        pixels = _pixels(inputs, params, state["images"], model)
        explain = _explain(inputs, params, pixels, model, inputs.state("explain", variant)["settled"])
        found = _smooth(explain, pixels, state, params)
        state["smooth"] = np.stack([found.get(i, np.full_like(values[0], np.nan)) for i in maps])
    return state


def _not_compared(variant: str, why: str) -> str:
    return f"sanity: {variant} is not compared with shuffled models: {why}"


def shuffled(inputs: Inputs, params: Any, number: int) -> pa.Table:
    """A row for each image of the sample at one depth of the cascade, from 0: the last layer alone.

    Random masks and noise are those of the image's own map: what of a map is their trace (of RISE with few masks, how
    often each pixel was shown) stays whatever the model knows, and counts. No rows where no map can be made again.
    """
    from activation_atlas.stages.vision.model.randomised import at_depth

    method, options, state = METHODS[params.method.name], params.method, inputs.state()
    empty = tables.shuffled().empty_table()
    if not state["images"]:
        return empty
    deep = at_depth(params.model, params.randomization.depths, number, params.seed)
    if deep is None:  # the model has fewer layers
        return empty
    depth, layers, name, model = deep
    pixels = _pixels(inputs, params, state["images"], model)
    if not pixels:
        inputs.warn(_not_compared(options.variant, "no image of the sample can be read again"))
        return empty
    # The layer and its place are the run's: a shuffled model might be asked elsewhere, or lie so by its numbers.
    configured = inputs.state("explain", options.variant)["settled"]
    few = lambda count: np.stack(list(pixels.values())[:count])  # noqa: E731
    if method.by_weights:
        configured = method.configure(model, options, few)
    elif method.learn:
        configured = {**configured, **method.learn(model, options, configured, few)}
    explain = _explain(inputs, params, pixels, model, configured)
    again = _maps(explain, pixels, state, params.batch)
    smooth = _smooth(explain, pixels, state, params) if "smooth" in state else {}
    about = {"depth": depth, "layers": layers, "layer": name, "left_out": int(state["left_out"])}
    rows = []
    for place, image_id in enumerate(state["images"]):
        if image_id in again:
            row = {"place": place, "image_id": image_id, **about}
            row |= stayed(state["maps"][place], again[image_id], method.signed)
            if image_id in smooth:
                row |= stayed(state["smooth"][place], smooth[image_id], method.signed, "_smooth")
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=tables.shuffled())


def _explain(
    inputs: Inputs, params: Any, pixels: Mapping[str, np.ndarray], model: Model, configured: Mapping[str, Any]
) -> Explain:
    """The variant's method on a model of any weights, with what the run's own maps were made with."""
    from activation_atlas.stages.vision.attribution.methods import Setting

    method, options = METHODS[params.method.name], params.method
    made = inputs.state("explain", options.variant)
    fit = Fit.of(params.images.settled(model.brings))
    given = regions_of(method.regions(options), made.get("regions", {}), None, fit, model.input_size)
    drawn = params.seed, made.get("background"), given
    return method.build(Setting(model, options, configured, params.batch, 1, *drawn))


def _maps(explain: Explain, pixels: Mapping[str, np.ndarray], state: State, batch: int) -> dict[str, np.ndarray]:
    """Image id to its map, float32 (height, width)."""
    ids, targets = list(pixels), _targets(state)
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(ids), batch):
        group = ids[start : start + batch]
        asked = np.array([[targets[i]] for i in group], np.int32)
        values = explain(np.stack([pixels[i] for i in group]), asked, group).values[:, 0]
        found |= dict(zip(group, values, strict=True))
    return found


def _smooth(explain: Explain, pixels: Mapping[str, np.ndarray], state: State, params: Any) -> dict[str, np.ndarray]:
    return averaged(explain, pixels, _targets(state), params.seed, params.randomization.smooth, params.batch)


def _targets(state: State) -> dict[str, int]:
    return dict(zip(state["images"], state["targets"].tolist(), strict=True))


def stayed(first: np.ndarray, then: np.ndarray, signed: bool, form: str = "") -> dict[str, float | None]:
    """Rank correlation of two maps of an image; where maps are signed, of their absolute values too."""
    if not (np.isfinite(first).all() and np.isfinite(then).all()):
        return {}
    found = {f"correlation{form}": correlation(standard(first), standard(then))}
    if signed:
        found[f"correlation{form}_abs"] = correlation(standard(np.abs(first)), standard(np.abs(then)))
    return found


def cascade(inputs: Inputs, variant: str, seed: int, copies: int | None = None) -> list[dict[str, Any]]:
    """A row for each depth, from the last layer alone to all layers: means over the images of the sample.

    Args:
        copies: of the smooth form, None where that is not asked for.
    """
    rows = []
    for part in inputs.stream(f"shuffled/{variant}"):
        if not part.num_rows:
            continue
        first = part.slice(0, 1).to_pylist()[0]
        row = {name: first[name] for name in ("depth", "layers", "layer", "left_out")}
        row |= {"images": part.num_rows, "copies": copies}
        for more in tables.RANKED:
            found = asdict(mean(part[f"correlation{more}"].to_pylist(), seed))
            row |= {f"{key}{more}": value for key, value in found.items()}
        rows.append(row)
    return rows


def _pixels(inputs: Inputs, params: Any, ids: Sequence[str], model: Model) -> dict[str, np.ndarray]:
    """Images at the model's size, uint8 (h, w, c); those that cannot be read again are left out."""
    shown = params.images.settled(model.brings)
    feed = Feed(params.images, at_size(shown, model.input_size, model.channels))
    read = feed.stream(uris_of(inputs, ids))
    return {i: image for i, image in read if not isinstance(image, ImageError)}
