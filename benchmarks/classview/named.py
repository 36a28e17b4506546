"""Do the names of cells fit what is seen there? Judged by a second network of the same classes.

It is shown the patches behind a named cell and, like somebody who is shown them with five names, the cell's own among
four others of the map, takes the one whose logit they raise most; of a group, by its five best classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from activation_atlas.stages.feed import Feed, at_size
from activation_atlas.stages.names.holding import CLEARLY
from activation_atlas.stages.report.geometry import patch_box, patch_side
from activation_atlas.stages.specs import ModelSpec
from benchmarks.classview.networks import Kept, table

TIMES, OTHERS, BEST = 50, 4, 5


def judge(kept: Kept, second: ModelSpec) -> dict[str, Any]:
    """Prints how often a name is found among five: of those that photographs of its own bear out, and of others."""
    names = [
        row for row in kept.inputs.table(f"names/{kept.view.name}").to_pylist() if row["grid"] == kept.network.side
    ]
    names = [row for row in names if row["place"] == 0]
    if len({row["name"] for row in names}) <= OTHERS:
        print(f"\n{kept.network.about}; evidence: {kept.evidence}: too few names to choose among")
        return {}
    raised = _raised(kept, second)
    rng, pool = np.random.default_rng(0), sorted({row["name"] for row in names})
    fits = {name: _fit(kept, raised, name) for name in pool}
    hits = np.zeros(len(names))
    for k, row in enumerate(names):
        at, others = (row["cell_x"], row["cell_y"]), [name for name in pool if name != row["name"]]
        drawn = [rng.choice(len(others), OTHERS, replace=False) for _ in range(TIMES)]
        hits[k] = np.mean([fits[row["name"]][at] > max(fits[others[j]][at] for j in each) for each in drawn])
    known = np.array([row["lift"] is not None for row in names], bool)
    sets = {
        "borne out by photographs": known,
        f"at least {CLEARLY:g} times the map's odds": ~known,
        "all": known | True,
    }
    found = {name: (int(of.sum()), float(hits[of].mean()) if of.any() else float("nan")) for name, of in sets.items()}
    print(
        f"\n{kept.network.about}; evidence: {kept.evidence}: names found among five by a second network (chance: 0.20)"
    )
    table(["names", "cells", "found"], [[name, str(n), f"{hit:.2f}"] for name, (n, hit) in found.items()])
    return found


def _raised(kept: Kept, second: ModelSpec) -> dict[tuple[int, int], np.ndarray]:
    """What the patches of each cell do to the second network's logits, (K,), standardised over the classes."""
    import tensorflow as tf
    from PIL import Image

    from activation_atlas.stages.vision.model import freeze, open_model

    model, size = open_model(second), tuple(kept.extract["input_size"])
    logits = freeze(
        lambda p: model.values(model.to_input(p), [model.program.output])[0],
        tf.TensorSpec((None, *model.input_size, model.channels), tf.uint8),
    )
    layer = kept.extract["layers"][kept.view.layer]
    side = patch_side(layer, size, 96, None)
    listed = kept.inputs.table("images", ["image_id", "uri"])
    uris = dict(zip(*(listed[name].to_pylist() for name in ("image_id", "uri")), strict=True))
    shown = kept.config.images.settled(kept.extract.get("images", {}))
    feed = Feed(kept.config.images, at_size(shown, size))
    columns = ["grid", "cell_x", "cell_y", "exemplars"]
    found = {}
    for row in kept.inputs.table(f"cells/{kept.view.name}", columns).to_pylist():
        if row["grid"] != kept.network.side:
            continue
        patches, members = [], row["exemplars"]
        shown = feed.first({k: uris[member["image_id"]] for k, member in enumerate(members)}, len(members))
        for member, image in ((members[k], Image.fromarray(pixels)) for k, pixels in shown.items()):
            box = np.array(patch_box(member["row"], member["col"], side, layer, size)) * [*size[::-1], *size[::-1]]
            patches.append(np.asarray(image.crop(tuple(np.rint(box).astype(int))).resize(model.input_size[::-1])))
        values = logits(tf.constant(np.stack(patches))).numpy().astype(np.float64)
        values = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True)
        found[row["cell_x"], row["cell_y"]] = values.mean(0)
    return found


def _fit(kept: Kept, raised: dict[tuple[int, int], np.ndarray], name: str) -> dict[tuple[int, int], float]:
    """How well a class's or a group's name fits each cell."""
    classes = kept.groups[name] if kept.grouped and name in kept.groups else [kept.extract["classes"].index(name)]
    return {at: float(np.sort(values[list(classes)])[-BEST:].mean()) for at, values in raised.items()}
