"""What cells argue for: means of their members' attributions, who ranks a class high, and how sure both are."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import ranked
from activation_atlas.stages.attribute import STAGE, Params
from activation_atlas.stages.clusters import among_highest
from activation_atlas.stages.keys import cell as cell_of
from activation_atlas.stages.keys import find
from activation_atlas.stages.tables import cells, to_numpy
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


def ranked_high(values: np.ndarray, classes: np.ndarray | None, size: int) -> np.ndarray:
    """Whether each class is among the highest max(1, n // 20) of each row's n values, by sorting."""
    high = np.zeros((len(values), size))
    for row, own in enumerate(values.astype(np.float64)):
        columns = np.arange(size) if classes is None else classes[row]
        best = sorted(zip(-own, columns, strict=True))[: max(1, len(own) // 20)]
        high[row, [column for _, column in best]] = 1
    return high


def clustered(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Standard error of the mean of each column (n, K), as Cameron & Miller (2015) write it for a mean."""
    names = np.unique(image)
    if len(names) < 2:
        return np.full(values.shape[1], np.nan)
    off = [(values[image == name] - values.mean(0)).sum(0) for name in names]
    return np.sqrt(len(names) / (len(names) - 1) * np.square(off).sum(0)) / len(values)


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
    where = find(layout, rows)
    names = columns or [0, 1, 2, 3]
    full, high = (of[where] for of in (dense(inputs, values, known, 4), ranked_high(values, known, len(names))))
    relative, image = full - full.mean(1, keepdims=True), np.array(layout["image_id"].to_pylist())
    for r in table.to_pylist():
        own = (cell_of(layout["x"].to_numpy(), r["grid"]) == r["cell_x"]) & (
            cell_of(layout["y"].to_numpy(), r["grid"]) == r["cell_y"]
        )
        mean = full[own].mean(0)
        assert own.sum() == r["count"] and np.allclose(r["attribution"], mean, atol=1e-6)
        for name, of in (("attribution_se", full), ("relative_se", relative), ("top_share_se", high)):
            assert np.allclose(r[name], clustered(of[own], image[own]), atol=1e-6, equal_nan=True), name
        assert np.allclose(r["top_share"], high[own].mean(0), atol=1e-6)
        assert r["top_images"] == [len(set(image[own & (high[:, k] > 0)])) for k in range(len(names))]
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


def test_a_case_by_hand():
    """Three photographs in one cell: rows 4, 2 | 0 | 6, and 1, 1 | 1 | 1 of the other class."""
    values = np.array([[4, 1], [2, 1], [0, 1], [6, 1]])
    inputs = lay_out(memory(np.ones((4, 3)), values, positions=2))
    rows = inputs.tables["activations/deep"][0]
    ids = rows["image_id"].to_pylist()
    assert ids == sorted(ids)
    for table in ("activations/deep", "layouts/atlas"):
        of = inputs.tables[table][0]
        inputs.tables[table] = [of.set_column(0, "image_id", pa.array([ids[0], ids[0], ids[2], "f" * 16]))]
    said = inputs.tables["predictions"][0]
    more = said.slice(1, 1).set_column(0, "image_id", pa.array(["f" * 16]))
    inputs.tables["predictions"] = [pa.concat_tables([said, more])]
    (only,) = attributed(inputs, [1]).to_pylist()
    # Mean 3; photographs are off by 0, -3 and 3: sqrt(3/2 x 18) / 4.
    assert np.allclose(only["attribution_se"], [np.sqrt(27) / 4, 0])
    # Less the mean of both classes: 1.5, 0.5 | -0.5 | 2.5, and the same negated: mean 1, off by 0, -1.5 and 1.5.
    assert np.allclose(only["relative_se"], [np.sqrt(6.75) / 4] * 2)
    # Class 0 wins 3 of 4, in two photographs; these are off by 0.5, -0.75 and 0.25.
    assert only["top_share"] == [0.75, 0.25] and only["top_images"] == [2, 1]
    assert np.allclose(only["top_share_se"], np.sqrt(1.5 * 0.875) / 4)


def test_one_in_twenty_ranks_high_and_of_equal_ones_the_first():
    values = np.random.default_rng(0).integers(0, 9, (50, 65)).astype(np.float32)
    values[0] = 0
    assert (among_highest(values, 3) == ranked_high(values, None, 65)).all()
    assert among_highest(values, 3)[0].nonzero()[0].tolist() == [0, 1, 2]
    inputs = lay_out(memory(blobs(50), values))
    assert np.allclose(attributed(inputs, [1])["top_share"][0].as_py(), ranked_high(values, None, 65).mean(0))


def test_of_equal_listed_ones_the_first_column_ranks_high():
    known = np.tile([[3, 1]], (10, 1))
    inputs = lay_out(memory(blobs(10), np.ones((10, 2)), top_classes=known))
    assert attributed(inputs, [1])["top_share"][0].as_py() == [0, 1, 0, 0]


def test_neither_parts_nor_chunks_show(monkeypatch):
    values = np.random.default_rng(2).integers(-40, 40, (100, 4)) / 4  # whose sums are exact in any order
    found = []
    for shard_images, wide in ((4, 2**22), (7, 2**22), (20, 1), (20, 50)):
        monkeypatch.setattr(ranked, "WIDE", wide)
        inputs = memory(blobs(100), values, shard_images=shard_images)
        xy = lay_out(memory(blobs(100), values, shard_images=20)).tables["layouts/atlas"][0]
        sizes = [len(part) for part in inputs.tables["activations/deep"]]
        ends = np.cumsum([0, *sizes])
        inputs.tables["layouts/atlas"] = [xy.slice(a, b) for a, b in zip(ends, sizes, strict=False)]
        attributed(inputs)
        found.append(inputs.digest("cells/atlas"))
    assert len(set(found)) == 1


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
    runs = [lay_out(memory(blobs(100), VALUES)) for _ in range(2)]
    for inputs in runs:
        attributed(inputs)
    assert len({inputs.digest("cells/atlas") for inputs in runs}) == 1


def test_a_layout_of_other_rows_is_refused():
    inputs = lay_out(memory(blobs(20), VALUES[:20]))
    gridded(inputs, [2])
    part = inputs.tables["activations/deep"][0]
    inputs.tables["activations/deep"][0] = part.slice(1)
    with pytest.raises(ValueError, match="part 0 of layouts/atlas holds rows that activations/deep does not"):
        inputs.run(STAGE, Params(view=view()), "atlas")
