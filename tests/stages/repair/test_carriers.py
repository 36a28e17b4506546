"""Which images carry a cue."""

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages.repair.carriers import carriers
from activation_atlas.stages.specs import ViewSpec
from tests.stages.rows import image_ids, memory


@pytest.mark.parametrize("top", [False, True])
def test_what_argues_for_the_class_within_the_cells(top):
    # Six images of two positions; attributions of classes 0, 2 and 3, or of the two highest, which say the same.
    rng = np.random.default_rng(0)
    attribution = np.tile([3.0, 1.0, 2.0], (12, 1))
    attribution[[1, 4, 7]] = 1.0, 2.0, 3.0  # class 3 above all: images 0, 2 and 3
    listed = np.array([0, 2, 3])[np.argsort(-attribution, axis=1)[:, :2]]
    if top:
        attribution = -np.sort(-attribution, axis=1)[:, :2]
    attributed = None if top else [0, 2, 3]
    inputs = memory(rng.normal(size=(12, 2)), attribution, attributed, listed if top else None, positions=2)
    inputs.states["extract", ""]["top"] = top
    x = np.full(12, 0.3, np.float32)
    x[7] = 0.6  # image 3 argues for it elsewhere
    inputs.tables["layouts/all"] = []
    for part in inputs.tables["activations/deep"]:
        own = part.select(["image_id", "row", "col"])
        start = sum(len(each) for each in inputs.tables["layouts/all"])
        place = {"x": x[start : start + len(own)], "y": np.full(len(own), 0.9, np.float32)}
        for name, values in place.items():
            own = own.append_column(name, pa.array(values))
        inputs.tables["layouts/all"].append(own)
    cue = {"class": 3, "cells": [{"grid": 4, "cell_x": 1, "cell_y": 3}]}
    ids = image_ids(6)
    elsewhere = {**cue, "cells": [{"grid": 4, "cell_x": 2, "cell_y": 3}]}
    found = carriers(inputs, ViewSpec(name="all", layer="deep"), [cue, elsewhere, {**cue, "cells": []}])
    assert found == [{ids[0], ids[2]}, {ids[3]}, set()]
