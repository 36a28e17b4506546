"""What cells argue for: plain means of their members' attributions."""

from __future__ import annotations

import numpy as np
import pytest

from stages.attribute import STAGE, Params
from stages.keys import cell as cell_of
from stages.keys import find
from stages.tables import cells, to_numpy
from tests.stages.rows import blobs, memory, view, with_features
from tests.stages.test_grid import gridded, lay_out


def attributed(inputs, grids=(2, 4, 8), **options):
    gridded(inputs, list(grids), **options)
    return inputs.run(STAGE, Params(view=view(**options)), "atlas")["cells/atlas"]


def dense(inputs, values: np.ndarray, classes: np.ndarray | None, size: int) -> np.ndarray:
    """Attributions of every row for every class, unlisted ones 0."""
    if classes is None:
        return values.astype(np.float64)
    full = np.zeros((len(values), size))
    np.put_along_axis(full, classes, values.astype(np.float64), 1)
    return full


VALUES = np.random.default_rng(1).normal(size=(100, 4)).astype(np.float16)


@pytest.mark.parametrize("mode", ["all", "chosen", "top"])
@pytest.mark.parametrize("keep", [1.0, 0.4])
def test_means_against_the_slow_twin(mode, keep):
    values, known, columns = VALUES, None, None
    if mode == "chosen":
        values, columns = VALUES[:, :2], [3, 1]
    if mode == "top":
        values = VALUES[:, :2]
        known = np.stack([np.random.default_rng(i).permutation(4)[:2] for i in range(100)])
    inputs = lay_out(memory(blobs(100), values, attributed=columns, top_classes=known), keep=keep)
    table = attributed(inputs)
    rows, layout = inputs.table("activations/deep"), inputs.table("layouts/atlas")
    full = dense(inputs, values, known, 4)[find(layout, rows)]
    names = columns or [0, 1, 2, 3]
    for r in table.to_pylist():
        own = (cell_of(layout["x"].to_numpy(), r["grid"]) == r["cell_x"]) & (
            cell_of(layout["y"].to_numpy(), r["grid"]) == r["cell_y"]
        )
        mean = full[own].mean(0)
        assert own.sum() == r["count"] and np.allclose(r["attribution"], mean, atol=1e-6)
        best = sorted(range(len(names)), key=lambda k: (-np.float32(mean[k]), k))[:5]
        assert r["top_classes"] == [names[k] for k in best]
        assert np.allclose(r["top_attributions"], mean[best], atol=1e-6)
    grid = inputs.table("grids/atlas")
    assert all(table[name].equals(grid[name]) for name in grid.column_names)


def test_a_1_x_1_grid_is_the_global_mean():
    inputs = lay_out(memory(blobs(100), VALUES))
    (only,) = attributed(inputs, [1]).to_pylist()
    assert np.allclose(only["attribution"], VALUES.astype(np.float64).mean(0), rtol=1e-6)


def test_means_of_a_thousand_equal_halves_are_exact():
    inputs = lay_out(memory(np.ones((3000, 3)), np.full((3000, 2), 0.1)))
    table = attributed(inputs, [1, 2])
    assert set(to_numpy(table["attribution"]).reshape(-1).tolist()) == {float(np.float32(np.float16(0.1)))}


def test_at_most_five_classes_are_named():
    values = np.tile(np.arange(8.0), (10, 1))
    inputs = lay_out(memory(blobs(10), values))
    (only,) = attributed(inputs, [1]).to_pylist()
    assert only["top_classes"] == [7, 6, 5, 4, 3] and only["top_attributions"] == [7, 6, 5, 4, 3]


def test_without_attributions_the_columns_are_left_out():
    inputs = lay_out(memory(blobs(100)))
    assert attributed(inputs).schema == cells(12, 0)


def test_whole_images_have_no_attributions():
    inputs = lay_out(with_features(memory(blobs(100), VALUES), blobs(20)), "features/deep")
    table = attributed(inputs, images=True)
    assert table.schema == cells(12, 0) and sum(table["images"].to_pylist()) == 20 * 3


def test_the_same_bytes_on_a_rerun():
    first, second = (attributed(lay_out(memory(blobs(100), VALUES))) for _ in range(2))
    assert first.equals(second)


def test_a_layout_of_other_rows_is_refused():
    inputs = lay_out(memory(blobs(20), VALUES[:20]))
    gridded(inputs, [2])
    part = inputs.tables["activations/deep"][0]
    inputs.tables["activations/deep"][0] = part.slice(1)
    with pytest.raises(ValueError, match="part 0 of layouts/atlas holds rows that activations/deep does not"):
        inputs.run(STAGE, Params(view=view()), "atlas")
