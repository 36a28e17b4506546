"""Cells: every point in exactly one, and every figure against a slow twin."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from activation_atlas.stages.grid import STAGE, Params
from activation_atlas.stages.keys import cell, find, positions
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tables import layouts, to_numpy
from tests.memory import MemoryInputs
from tests.stages.rows import blobs, memory, view, with_features


def lay_out(inputs: MemoryInputs, table: str = "activations/deep", keep: float = 1.0, seed: int = 0) -> MemoryInputs:
    """Uniform places for a share of the rows, keyed by nothing but their order; borders of cells among them."""
    rng = np.random.default_rng(seed)
    parts = []
    for rows in inputs.stream(table):
        keys = positions(rows)
        keys = keys.filter(pa.array(rng.random(len(keys)) < keep))
        xy = rng.random((len(keys), 2)).astype(np.float32)
        xy[::5] = np.round(xy[::5] * 4) / 4
        xy = np.minimum(xy, np.nextafter(np.float32(1), np.float32(0)))
        parts.append(pa.table([*keys.columns, pa.array(xy[:, 0]), pa.array(xy[:, 1])], schema=layouts()))
    inputs.tables["layouts/atlas"] = parts
    return inputs


def gridded(inputs: MemoryInputs, grids: list[int], **options) -> pa.Table:
    return inputs.run(STAGE, Params(view=view(**options), grids=grids), "atlas")["grids/atlas"]


def slow_twin(inputs: MemoryInputs, grid: int) -> dict:
    """Every cell of one grid, row by row and image by image."""
    layout, rows, said = (inputs.table(n) for n in ("layouts/atlas", "activations/deep", "predictions"))
    vectors = {
        (r["image_id"], r["row"], r["col"]): v
        for r, v in zip(
            rows.select(["image_id", "row", "col"]).to_pylist(),
            to_numpy(rows["activation"]).astype(np.float64),
            strict=True,
        )
    }
    truth = {
        r["image_id"]: (r["label"], r["correct"]) for r in said.select(["image_id", "label", "correct"]).to_pylist()
    }
    members = defaultdict(list)
    for r in layout.to_pylist():
        members[math.floor(r["x"] * grid), math.floor(r["y"] * grid)].append((r["image_id"], r["row"], r["col"]))
    found = {}
    for place, keys in members.items():
        mean = np.mean([vectors[k] for k in keys], 0)
        images = sorted({k[0] for k in keys})
        labels = [truth[i][0] for i in images if truth[i][0] is not None]
        shares = [n / len(labels) for n in Counter(labels).values()]
        cosines = {
            k: float(vectors[k] @ mean / max(np.linalg.norm(vectors[k]) * np.linalg.norm(mean), 1e-300)) for k in keys
        }
        ranked, seen = [], set()
        for k in sorted(keys, key=lambda k: (-round(cosines[k], 9), k)):
            if k[0] not in seen:
                ranked.append(k)
                seen.add(k[0])
        found[place] = {
            "count": len(keys),
            "images": len(images),
            "activation": mean,
            "error_rate": np.mean([not truth[i][1] for i in images if truth[i][0] is not None]) if labels else None,
            "label_entropy": -sum(p * math.log2(p) for p in shares) if labels else None,
            "exemplars": ranked[:8],
        }
    return found


def agree(table: pa.Table, grid: int, twin: dict) -> None:
    mine = [r for r in table.to_pylist() if r["grid"] == grid]
    assert [(r["cell_x"], r["cell_y"]) for r in mine] == sorted(twin)
    for r in mine:
        t = twin[r["cell_x"], r["cell_y"]]
        assert (r["count"], r["images"]) == (t["count"], t["images"])
        assert np.allclose(r["activation"], t["activation"], rtol=1e-6)
        assert [(e["image_id"], e["row"], e["col"]) for e in r["exemplars"]] == t["exemplars"]
        for name in ("error_rate", "label_entropy"):
            assert (r[name] is None) == (t[name] is None)
            assert r[name] is None or r[name] == pytest.approx(t[name], abs=1e-6)


LABELS = [None, 0, 1, 2, 0, 0, 3, 1, None, 2, 2, 1, 0, 3, 3, 1, 0, 0, 2, 1]
PRED = [0, 0, 1, 1, 0, 2, 3, 1, 0, 2, 0, 1, 3, 3, 3, 1, 0, 0, 2, 2]


@pytest.mark.parametrize("keep", [1.0, 0.3])
def test_every_grid_against_its_slow_twin(keep):
    inputs = lay_out(memory(blobs(100), labels=LABELS, pred=PRED), keep=keep)
    table = gridded(inputs, [8, 2, 4])
    rows = sum(len(t) for t in inputs.tables["layouts/atlas"])
    for grid in (2, 4, 8):
        agree(table, grid, slow_twin(inputs, grid))
        counts = [r["count"] for r in table.to_pylist() if r["grid"] == grid]
        assert sum(counts) == rows
    keys = [(r["grid"], r["cell_x"], r["cell_y"]) for r in table.to_pylist()]
    assert keys == sorted(keys)


def test_the_only_cell_of_a_1_x_1_grid_is_the_global_mean():
    vectors = blobs(100).astype(np.float16)
    inputs = lay_out(memory(vectors, labels=LABELS, pred=PRED))
    (only,) = gridded(inputs, [1]).to_pylist()
    assert only["count"] == 100 and only["images"] == 20
    assert np.allclose(only["activation"], vectors.astype(np.float64).mean(0), rtol=1e-7)


def test_every_point_lies_in_exactly_one_cell():
    edges = np.array([0, 0.1, 0.3, 0.5, 0.7, 1]).astype(np.float32)
    near = np.concatenate([edges, np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(1))])
    near = near[near < 1]
    for grid in (10, 20, 40):
        own = cell(near, grid)
        assert (own >= 0).all() and (own < grid).all()
        assert all(
            k / grid <= float(p) < (k + 1) / grid or math.isclose(p * grid, round(p * grid), abs_tol=1e-6)
            for p, k in zip(near, own, strict=True)
        )
        assert (cell(near, 2 * grid) // 2 == own).all()


def test_shards_have_no_say():
    found = []
    for shard_images in (1, 3, 20):
        inputs = memory(blobs(100), labels=LABELS, pred=PRED, shard_images=20)
        lay_out(inputs)
        layout = inputs.table("layouts/atlas")
        inputs = memory(blobs(100), labels=LABELS, pred=PRED, shard_images=shard_images)
        start, parts = 0, []
        for rows in inputs.stream("activations/deep"):
            parts.append(layout.slice(start, len(rows)))
            start += len(rows)
        inputs.tables["layouts/atlas"] = parts
        found.append(gridded(inputs, [2, 4]).to_pylist())
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            # Partial sums merge in part order: equal to rounding over other shards, to the bit over the same.
            assert np.allclose(one["activation"], two["activation"], rtol=1e-7)
            assert {**one, "activation": None} == {**two, "activation": None}


def test_the_same_bytes_on_a_rerun():
    def once():
        return gridded(lay_out(memory(blobs(100), labels=LABELS, pred=PRED)), [2, 4])

    assert once().equals(once())


def test_twins_are_ranked_by_key_and_images_counted_once():
    inputs = memory(np.ones((12, 3)), positions=3, labels=[0, 0, 1, None], pred=[0, 1, 1, 0])
    keys = [positions(t) for t in inputs.stream("activations/deep")]
    inputs.tables["layouts/atlas"] = [
        pa.table(
            [*k.columns, pa.array(np.full(len(k), 0.25, np.float32)), pa.array(np.full(len(k), 0.75, np.float32))],
            schema=layouts(),
        )
        for k in keys
    ]
    (only,) = gridded(inputs, [4]).to_pylist()
    assert (only["cell_x"], only["cell_y"], only["count"], only["images"]) == (1, 3, 12, 4)
    assert only["error_rate"] == pytest.approx(1 / 3) and only["label_entropy"] == pytest.approx(0.9182958)
    first = keys[0].to_pylist()
    assert only["exemplars"] == [first[i] for i in (0, 3, 6, 9)]


def test_zero_activations_have_a_cell_and_exemplars():
    (only,) = gridded(lay_out(memory(np.zeros((10, 3)))), [1]).to_pylist()
    assert only["activation"] == [0, 0, 0] and len(only["exemplars"]) == 2
    assert only["error_rate"] is None and only["label_entropy"] is None


def test_a_part_without_members():
    inputs = lay_out(memory(blobs(100), labels=LABELS, pred=PRED))
    inputs.tables["layouts/atlas"][0] = inputs.tables["layouts/atlas"][0].slice(0, 0)
    agree(gridded(inputs, [4]), 4, slow_twin(inputs, 4))


def test_whole_images():
    inputs = with_features(memory(blobs(100), labels=LABELS, pred=PRED), blobs(20))
    table = gridded(lay_out(inputs, "features/deep"), [2], images=True)
    assert sum(table["count"].to_pylist()) == sum(table["images"].to_pylist()) == 20
    assert {e["row"] for r in table["exemplars"].to_pylist() for e in r} == {-1}


def test_no_rows_is_one_line():
    inputs = lay_out(memory(blobs(10)), keep=0)
    with pytest.raises(UserError, match="0 rows"):
        gridded(inputs, [2])


@pytest.mark.parametrize("grids, nearest", [([10, 30], "10, 20"), ([10, 25], "10, 20"), ([20, 10, 15], "10, 20, 40")])
def test_grids_nest(grids, nearest):
    with pytest.raises(ValidationError, match=nearest):
        Params(view=view(), grids=grids)
    assert Params(view=view(), grids=[40, 10, 10]).grids == [10, 40]


def test_find_matches_keys_in_any_order():
    keys = positions(memory(blobs(30)).table("activations/deep"))
    order = np.random.default_rng(0).permutation(30)[:20]
    among = keys.take(pa.array(order))
    expected = np.full(30, -1)
    expected[order] = np.arange(20)
    assert find(keys, among).tolist() == expected.tolist()
    assert find(keys.slice(0, 0), among).tolist() == [] and set(find(keys, among.slice(0, 0)).tolist()) == {-1}
