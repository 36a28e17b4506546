"""Rows placed by a layout that was fitted before: a row's image has no say in where it lies."""

import numpy as np

from activation_atlas.stages.reduce import STAGE, Params, ReduceSpec
from activation_atlas.stages.reduce.borrowed import placed_alike
from activation_atlas.stages.reduce.neighbours import Index
from activation_atlas.stages.reduce.place import place
from tests.stages.rows import blobs, memory, view


def test_a_row_is_placed_by_other_images():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 4)).astype(np.float32)
    layout = rng.normal(size=(60, 2)).astype(np.float32)
    image = np.arange(60) // 3
    found = place(vectors, Index.build(vectors, 0), layout, None, (image, image))
    for k in range(0, 60, 7):
        others = np.flatnonzero(image != image[k])
        alone = place(vectors[k : k + 1], Index.build(vectors[others], 0), layout[others], None)
        np.testing.assert_allclose(found[k], alone[0], rtol=1e-6)
    elsewhere = place(vectors, Index.build(vectors, 0), layout, None, (np.full(60, -1), image))
    np.testing.assert_array_equal(elsewhere, place(vectors, Index.build(vectors, 0), layout, None))


def test_all_rows_come_in_their_order_and_lie_near_where_they_were_fitted():
    inputs, params = memory(blobs(200)), Params(view=view(), reduce=ReduceSpec(method="pca", components=5))
    fitted = inputs.run(STAGE, params, "atlas")["layouts/atlas"]
    parts = list(placed_alike(inputs, params.view, "cosine", inputs.states["reduce", "atlas"]))
    assert len(parts) == inputs.parts("activations/deep")
    rows = [row for part in parts for row in part.to_pylist()]
    assert rows == fitted.to_pylist()  # a linear layout places them exactly
