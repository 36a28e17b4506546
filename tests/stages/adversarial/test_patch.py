"""Patches from one class to another: what is proposed, what is chosen, and what is counted."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages.adversarial import Example, Patched, _hosts
from activation_atlas.stages.adversarial.experiment import Patch, patches
from activation_atlas.stages.adversarial.proposed import Proposal, propose
from activation_atlas.stages.halves import held_out
from activation_atlas.stages.intervention.corners import (
    PLACES,
    Place,
    best_patch,
    best_place,
    controls,
    margin,
    pasted,
    rates,
)
from activation_atlas.stages.stage import UserError
from tests.memory import MemoryInputs
from tests.stages.rows import memory, view


def run_folder(label):
    """Images of one row in each of two cells; in the right one all speak for class 0, the later ones more."""
    images = len(label)
    values = np.zeros((2 * images, 3))
    values[1::2, 0] = 1 + np.arange(images) / 100
    values[::2, 1] = 3.0
    inputs = memory(np.ones((2 * images, 4)), values, positions=2, shard_images=16, labels=label, pred=[2] * images)
    hashes, layouts = [], []
    for part in inputs.tables["predictions"]:
        ids = part["image_id"].to_pylist()
        hashes.append(pa.table({"image_id": ids, "sha256": [hashlib.sha256(i.encode()).hexdigest() for i in ids]}))
    for part in inputs.tables["activations/deep"]:
        x = np.where(np.arange(len(part)) % 2, 0.75, 0.25).astype(np.float32)
        layouts.append(
            part.select(["image_id", "row", "col"]).append_column("x", pa.array(x)).append_column("y", pa.array(x))
        )
    cells = {"grid": [2, 2], "cell_x": [0, 1], "cell_y": [0, 1]}
    inputs.tables |= {"images": hashes, "layouts/atlas": layouts, "grids/atlas": [pa.table(cells)]}
    return MemoryInputs(inputs.tables, inputs.states)


def test_proposals_are_of_neither_class_and_of_the_half_that_is_searched():
    label = [0, 1, 2, 3] * 10
    inputs = run_folder(label)
    ids = [i for part in inputs.tables["images"] for i in part["image_id"].to_pylist()]
    hashes = [h for part in inputs.tables["images"] for h in part["sha256"].to_pylist()]
    able = ~held_out(hashes, 0) & np.isin(label, [2, 3])
    found = propose(inputs, view(), 2, 0, [1], 0)
    assert {p.cell for p in found} == {(1, 1)}  # the other speaks for class 1
    assert [p.image_id for p in found] == [ids[k] for k in np.flatnonzero(able)[::-1][:3]]  # strongest first
    values = 1 + np.flatnonzero(able) / 100
    slow = values.mean() - 2 * values.std(ddof=1) / len(values) ** 0.5
    assert found[0].bound == pytest.approx(slow, abs=1e-3)
    with pytest.raises(
        UserError, match="in no cell of atlas 'atlas' do images of other classes surely speak for 'otter'"
    ):
        propose(inputs, view(), 2, 2, [1], 0)
    with pytest.raises(UserError, match="no attributions for 'crane'"):
        propose(inputs, view(), 2, 3, [1], 0)


def test_of_a_file_that_is_there_twice_one_is_tried():
    inputs = run_folder([1, 2] * 20)
    inputs.tables["images"] = [
        part.set_column(1, "sha256", pa.array([hashlib.sha256(b"%d" % (k // 2)).hexdigest() for k in range(len(part))]))
        for part in inputs.tables["images"]
    ]
    every = _hosts(inputs, inputs.state("extract", ""), 0, [], 100, 0)
    files = {i: h for part in inputs.tables["images"] for i, h in zip(*part.to_pydict().values(), strict=True)}
    for some in every:
        assert some and len({files[i] for i in some}) == len(some)
    assert {files[i] for some in every[:2] for i in some} == set(files.values())


def red(images):
    """Scores: the mean of red less 128, and 0."""
    mean = images[..., 0].astype(np.float64).mean((1, 2)) - 128
    return np.stack([mean, np.zeros(len(images))], 1)


def test_the_best_patch_and_place_are_those_that_turn_most():
    hosts = [np.full((20, 20, 3), grey, np.uint8) for grey in (0, 80, 110)]
    position = Proposal((0, 0), 1.0, "a", 1, 1, 1.0)
    pixels = {"a": np.zeros((20, 20, 3), np.uint8)}
    pixels["a"][4:12, 4:12, 0] = 255
    found = patches([position, Proposal((0, 0), 1.0, "lost", 1, 1, 1.0)], pixels, lambda p: (7.5, 7.5))
    assert [p.rect for p in found] == [(6, 6, 11, 11), (4, 4, 12, 12), (2, 2, 14, 14)]
    becomes = lambda scores: scores.argmax(-1) == 0  # noqa: E731
    first = best_patch([each.pixels for each in found], hosts, 0, red, becomes, 5)
    best = found[first]
    assert first == 0  # all of it is red, and of equal ones the first
    scores = pasted(hosts, lambda number: best.pixels, PLACES, red, 5)
    assert scores.shape == (16, 3, 2)
    # Half a side covers a quarter: of 80, 60 + 64 - 128 < 0, and of 110, 82 + 64 - 128 > 0.
    np.testing.assert_allclose(margin(scores, 0)[12:], [[63.75 - 128, 123.75 - 128, 146.25 - 128]] * 4, atol=0.6)
    turned = becomes(scores)
    assert best_place(turned, margin(scores, 0)) == 12
    static = rates(turned, 0)
    assert static.static[0] == 0 and static.dynamic[0] == pytest.approx(1 / 3)
    assert static.dynamic[1] < 1 / 3 < static.dynamic[2]


def test_places_lie_in_their_corners_and_change_nothing_else():
    assert [Place(0.25, c).rect((8, 12)) for c in range(4)] == [
        (0, 0, 2, 3),
        (0, 9, 2, 12),
        (6, 0, 8, 3),
        (6, 9, 8, 12),
    ]
    host, patch = np.zeros((8, 12, 3), np.uint8), np.full((5, 5, 3), 9, np.uint8)
    own = Patch(Proposal((0, 0), 1.0, "a", 1, 1, 1.0), (0, 0, 5, 5), patch).on(host, Place(0.25, 3))
    assert (own[6:, 9:] == 9).all() and own.sum() == 2 * 3 * 3 * 9 and not host.any()


def test_controls_have_the_patch_s_size_and_repeat():
    patch = Patch(Proposal((0, 0), 1.0, "a", 1, 1, 1.0), (0, 0, 6, 6), np.arange(108, dtype=np.uint8).reshape(6, 6, 3))
    sources = [np.full((20, 20, 3), k, np.uint8) for k in range(5)]
    first, again = (controls(patch.pixels, 4, sources, 3) for _ in range(2))
    for kind in ("noise", "random"):
        assert first[kind](2).shape == (6, 6, 3)
        np.testing.assert_array_equal(first[kind](2), again[kind](2))
    assert not np.array_equal(first["noise"](0), first["noise"](1))


@pytest.mark.slow
def test_the_figure_and_the_lines_say_the_same():
    pixels = np.full((16, 16, 3), 90, np.uint8)
    own = Patch(Proposal((3, 4), 1.0, "0123", 1, 1, 1.0), (2, 2, 8, 8), pixels[:6, :6])
    turned = np.zeros((16, 40), bool)
    turned[5, :10] = turned[6, :20] = True
    shares = dict.fromkeys(("patch", "noise", "random"), rates(turned, 5))
    shown = [Example(pixels, pixels, 0.001, 0.7, True)] * 5
    made = Patched("grey whale", "shark", "late", 20, [own.proposal], own, pixels, Place(0.2, 1), 30, 40, shares, shown)
    assert "  the patch              static 25.0 % [14.2, 40.2], dynamic 50.0 % [35.2, 64.8]" in made.lines()
    sheet = made.sheet
    words = [text.get_text() for text in sheet.axes.texts]
    assert "From grey whale to shark, by a patch" in words and "25.0 %  [14.2, 40.2]" in words
    assert sheet.png()[:4] == b"\x89PNG"
