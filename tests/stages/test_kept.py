"""Layouts that stay while a run grows, until what is new is no longer what they were fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from activation_atlas.pipeline.digest import state_digest
from activation_atlas.stages.reduce import STAGE, Params, ReduceSpec
from activation_atlas.stages.reduce.kept import reach
from activation_atlas.stages.reduce.neighbours import Index
from tests.memory import MemoryInputs
from tests.stages.rows import blobs, memory, view, with_features

IMAGES = 120


def params(**options) -> Params:
    return Params(view=view(**options), reduce=ReduceSpec(method="pca", components=6, keep=True))


def before(vectors: np.ndarray, images: int, given: Params, attribution: np.ndarray | None = None) -> MemoryInputs:
    """A run over the first ``images`` alone, five rows each."""
    inputs = memory(vectors, attribution)
    whole = inputs.tables
    inputs.tables = {name: parts[: images // 4] for name, parts in whole.items()}
    inputs.run(STAGE, given, "atlas")
    inputs.tables = {**inputs.tables, **whole}
    return inputs


def grown(inputs: MemoryInputs, given: Params) -> tuple[dict, dict]:
    """The state of before, and what became of it."""
    old = inputs.states["reduce", "atlas"]
    inputs.run(STAGE, given, "atlas")
    return old, inputs.states["reduce", "atlas"]


def test_with_more_of_the_same_it_stays():
    vectors = blobs(5 * IMAGES)
    inputs = before(vectors, 80, params())
    first = inputs.tables["layouts/atlas"]
    old, new = grown(inputs, params())
    assert state_digest(old) == state_digest(new) and "told" not in old
    assert {k: new["told"][k] for k in ("rows", "new_rows", "new_images", "changed")} == {
        "rows": 600, "new_rows": 200, "new_images": 40, "changed": 0
    }  # fmt: skip
    assert 0 < new["told"]["far"] < 0.12  # 5 % of what is like the fitted rows
    assert [part.equals(inputs.tables["layouts/atlas"][k]) for k, part in enumerate(first)] == [True] * 20
    assert "the layout is kept: 0.0 % of its fitted rows" in inputs.notes[-1]
    assert "of 200 new rows of 40 images" in inputs.notes[-1]


def test_with_other_images_it_is_fitted_anew():
    vectors = blobs(5 * IMAGES)
    vectors[400:] = blobs(200, seed=5)
    inputs = before(vectors, 80, params())
    old, new = grown(inputs, params())
    assert "told" not in new and len(old["row"]) == 400 and len(new["row"]) == 600
    assert "the layout is fitted anew" in inputs.notes[-1]
    afresh = memory(vectors)
    afresh.run(STAGE, params(), "atlas")
    assert state_digest(new) == state_digest(afresh.states["reduce", "atlas"])


def test_what_has_changed_is_no_longer_fitted():
    vectors = blobs(5 * IMAGES)
    inputs = before(vectors, IMAGES, params())
    vectors[10:15] = vectors[300:305]
    inputs.tables = memory(vectors).tables
    old, new = grown(inputs, params())
    assert new["told"]["changed"] == pytest.approx(5 / 600)
    assert len(new["row"]) == 595
    layout = inputs.tables["layouts/atlas"]  # of twenty rows a part
    moved, like = layout[0].slice(10, 5), layout[15].slice(0, 5)
    assert moved["x"].to_pylist() == pytest.approx(like["x"].to_pylist())


def test_images_that_went_leave_it_as_it_is():
    inputs = before(blobs(5 * IMAGES), IMAGES, params())
    inputs.tables = {name: parts[:20] for name, parts in inputs.tables.items()}
    old, new = grown(inputs, params())
    assert state_digest(old) == state_digest(new) and new["told"]["far"] is None


def test_another_network_s_activations_are_no_growth():
    for channels in (12, 9):
        inputs = before(blobs(5 * IMAGES), IMAGES, params())
        inputs.tables = memory(blobs(5 * IMAGES, channels=channels, seed=3)).tables
        assert "told" not in grown(inputs, params())[1]
        assert "100.0 % of its fitted rows are no more what they were" in inputs.notes[-1]


def test_a_class_s_rows_are_chosen_anew_and_placed_in_it():
    vectors = blobs(5 * IMAGES)
    attribution = np.random.default_rng(1).uniform(0.1, 1, (5 * IMAGES, 4)) * [1, 0.2, 0.2, 0.2]
    given = params(class_="fireboat", rows=100)
    inputs = before(vectors, 80, given, attribution)
    old, new = grown(inputs, given)
    assert (new["layout"] == old["layout"]).all() and len(new["chosen_row"]) == 100
    assert sum(part.num_rows for part in inputs.tables["layouts/atlas"]) == 100
    assert (new["chosen_image_id"] != old["chosen_image_id"]).any()


def test_of_whole_images():
    vectors = blobs(5 * IMAGES)
    inputs = with_features(memory(vectors), blobs(IMAGES, seed=2))
    given, whole = params(images=True), inputs.tables
    inputs.tables = {name: parts[:20] for name, parts in whole.items()}
    inputs.run(STAGE, given, "atlas")
    inputs.tables = whole
    assert grown(inputs, given)[1]["told"]["new_images"] == 40


def test_reach_by_hand():
    """Of each row the nearest of another image: 4, 3, 3, 5 of four rows at 0, 1, 4, 9 of images 0, 0, 1, 2."""
    vectors = np.array([[0], [1], [4], [9]], np.float32)
    index = Index.build(vectors, 0)
    assert reach(index, np.array([0, 0, 1, 2]), 0) == pytest.approx(5)
    assert reach(index, np.array([0, 0, 0, 0]), 0) == np.inf


def test_reach_equals_a_slow_twin():
    vectors, images = blobs(300).astype(np.float32), np.arange(300) // 5
    apart = np.sqrt(((vectors[:, None].astype(float) - vectors) ** 2).sum(2))
    apart[images[:, None] == images] = np.inf
    assert reach(Index.build(vectors, 0), images, 0) == pytest.approx(np.sort(apart.min(1))[285], rel=1e-4)
