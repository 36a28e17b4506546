"""Rows placed by a layout that was fitted before: a row's image has no say in where it lies."""

import numpy as np
import pytest

from activation_atlas.stages.reduce import STAGE, Params, ReduceSpec
from activation_atlas.stages.reduce.borrowed import nearest_other, placed_alike
from activation_atlas.stages.reduce.neighbours import Index
from tests.stages.rows import blobs, memory, view


def test_a_row_lies_where_the_nearest_of_another_image_lies():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(90, 4)).astype(np.float32)
    image = np.arange(90) // 3
    vectors[1::3] = vectors[::3] + 0.001  # positions of one image are each other's nearest
    found = nearest_other(vectors, image, Index.build(vectors, 0), image)
    for k in range(90):
        apart = ((vectors - vectors[k]) ** 2).sum(1)
        assert found[k] == np.where(image == image[k], np.inf, apart).argmin()
    elsewhere = nearest_other(vectors, np.full(90, -1), Index.build(vectors, 0), image)
    assert elsewhere.tolist() == list(range(90))


@pytest.mark.slow
def test_by_neighbours_every_row_takes_a_fitted_place():
    inputs, params = memory(blobs(150)), Params(view=view(), reduce=ReduceSpec(components=5, n_neighbors=5))
    fitted = inputs.run(STAGE, params, "atlas")["layouts/atlas"].to_pylist()
    (first, *_) = placed_alike(inputs, params.view, "cosine", inputs.states["reduce", "atlas"])
    places = {(row["x"], row["y"]): row["image_id"] for row in fitted}
    assert all(places[row["x"], row["y"]] != row["image_id"] for row in first.to_pylist())


def test_all_rows_come_in_their_order_and_lie_near_where_they_were_fitted():
    inputs, params = memory(blobs(200)), Params(view=view(), reduce=ReduceSpec(method="pca", components=5))
    fitted = inputs.run(STAGE, params, "atlas")["layouts/atlas"]
    parts = list(placed_alike(inputs, params.view, "cosine", inputs.states["reduce", "atlas"]))
    assert len(parts) == inputs.parts("activations/deep")
    rows = [row for part in parts for row in part.to_pylist()]
    assert rows == fitted.to_pylist()  # a linear layout places them exactly
