"""The table of slices: all figures of the held-out half, whose labels no finder sees."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.steps import steps
from activation_atlas.stages.intervals import wilson, wilson_bounds
from activation_atlas.stages.significance import bh
from activation_atlas.stages.slices import STAGE
from activation_atlas.stages.slices.judging import chance, same, wider
from activation_atlas.stages.slices.reading import Halves, judged, means
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import assigned
from tests.stages.slices.world import CLASSES, MARKED, World, params

WORLD = World()
QUICK = ["confusion", "highest_loss", "domino", "cells"]


def slices(inputs, **other) -> list[dict]:
    return inputs.run(STAGE, params(**{"finders": QUICK, **other}))["slices"].to_pylist()


def test_the_surest_slice_is_the_mark_in_all_its_words():
    inputs = WORLD.inputs()
    first, *others = slices(inputs)
    held, where = WORLD.held, {own: k for k, own in enumerate(WORLD.ids)}
    members = np.array([where[own] for own in first["members"]])
    assert held[members].all() and (WORLD.marked[members]).mean() > 0.95
    assert first["strengths"] == sorted(first["strengths"], reverse=True)
    wrong = WORLD.label != WORLD.pred
    assert (first["images"], first["errors"]) == (len(members), wrong[members].sum())
    sure, all_ = (sum(r["q_value"] is not None and r["q_value"] < most for r in (first, *others)) for most in (0.05, 2))
    wide = wilson(wrong[members].sum(), len(members), norm.ppf(1 - 0.025 * sure / all_))
    np.testing.assert_allclose([first["low"], first["high"]], wide, rtol=1e-5)
    assert 0 < sure < all_
    np.testing.assert_allclose(first["base_rate"], wrong[held].mean(), rtol=1e-6)
    np.testing.assert_allclose(first["lift"], wrong[members].mean() / wrong[held].mean(), rtol=1e-6)
    assert f"slices surely fail more than all held-out images (q < 0.05); the surest: {len(members)} images" in str(
        inputs.notes
    )
    assert first["q_value"] < 1e-6 and "taken for horse" in first["about"] and "hue yellow" in first["about"]
    assert (first["cells"][0]["cell_x"], first["cells"][0]["cell_y"]) == MARKED and first["atlas"] == "main"
    assert [row["rank"] for row in (first, *others)] == list(range(len(others) + 1))
    # Whoever reads labels is not tested, and comes last; who finds the mark too is marked as the same.
    tested = [row["finder"] not in ("confusion", "highest_loss") for row in (first, *others)]
    assert tested == sorted(tested, reverse=True)
    assert all((row["p_value"] is None) != is_tested for row, is_tested in zip((first, *others), tested, strict=True))
    assert 0 in {row["same_as"] for row in others if row["finder"] != first["finder"]}


def test_labels_of_the_held_out_half_change_who_is_counted_wrong_and_nothing_else():
    """The trap: were one of them seen, members or strengths would change."""
    poisoned = np.where(WORLD.held, (WORLD.label + 1) % 3, WORLD.label)
    rows, others = (
        {(r["finder"], r["found"]): r for r in slices(WORLD.inputs(label=label), finders=["domino", "cells"])}
        for label in (WORLD.label, poisoned)
    )
    assert rows.keys() == others.keys() and len(rows) > 3
    for own, row in rows.items():
        assert row["members"] == others[own]["members"] and row["strengths"] == others[own]["strengths"]
    assert any(row["errors"] != others[own]["errors"] for own, row in rows.items())


def test_parts_change_nothing():
    one, four = (WORLD.inputs(parts=parts).run(STAGE, params(finders=QUICK))["slices"] for parts in (1, 4))
    assert one.drop_columns("strengths").equals(four.drop_columns("strengths"))
    strengths = [table["strengths"].combine_chunks().flatten().to_numpy() for table in (one, four)]
    np.testing.assert_allclose(*strengths, rtol=1e-5)


def test_a_file_is_counted_once_however_often_it_lies_there():
    """A copy is no case of its own: with every image there twice slices are what they were, and no surer."""
    once = {r["image_id"] for part in WORLD.inputs().tables["images"] for r in part.to_pylist()}
    plain, doubled = WORLD.inputs(), World().inputs()
    for name, parts in list(doubled.tables.items()):
        again = [
            part.set_column(0, "image_id", pa.array([_other(i) for i in part["image_id"].to_pylist()]))
            for part in parts
        ]
        doubled.tables[name] = [*parts, *again]
    assert _other(_other(min(once))) == min(once)
    rows, others = (slices(inputs) for inputs in (plain, doubled))
    assert rows == others and len(rows) > 1  # the parts of copies hold no image that counts
    assert f"audit: {len(once)} images the same file as another: slices count each file once" in doubled.notes


def _other(image_id: str) -> str:
    return image_id[::-1]


@pytest.mark.slow
def test_all_finders_whatever_the_threads_and_clusters_of_maps_too():
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        one = WORLD.inputs().run(STAGE, params())["slices"]
    two = WORLD.inputs().run(STAGE, params())["slices"]
    assert one.equals(two)
    best = {row["finder"]: row for row in reversed(two.to_pylist())}
    assert best.keys() == {"confusion", "highest_loss", "planespot", "domino", "cells", "spray"}
    marked = {own for own, is_marked in zip(WORLD.ids, WORLD.marked, strict=True) if is_marked}
    for finder in ("planespot", "spray"):
        members = best[finder]["members"]
        assert len(marked.intersection(members)) > 0.85 * len(members) and best[finder]["q_value"] < 0.05


def test_without_labels_slices_go_by_confidence_and_none_is_tested():
    inputs = WORLD.inputs(label=None)
    rows = slices(inputs)
    assert {row["finder"] for row in rows} == {"domino", "cells"}
    untold = ("error_rate", "low", "high", "base_rate", "lift", "p_value", "q_value")
    assert all(row[name] is None for row in rows for name in untold)
    assert [row["confidence"] for row in rows] == sorted(row["confidence"] for row in rows)
    assert any("no image has a label: slices go by the model's confidence alone" in note for note in inputs.notes)
    assert "audit.finders: confusion is left out: no image has one label" in inputs.notes


def test_what_is_missing_is_said():
    inputs = World(30).inputs()
    assert slices(inputs) == []
    assert "each must be at least 20; give more images" in inputs.notes[0]
    inputs = WORLD.inputs(label=WORLD.pred)
    assert slices(inputs) == [] and "none is got wrong" in inputs.notes[0]
    inputs = WORLD.inputs()
    assert {
        r["finder"] for r in slices(inputs, view=None, features=None, maps=None, finders=["cells", "confusion"])
    } == {"confusion"}
    assert inputs.notes == ["audit.finders: cells is left out: there is no atlas"]


@pytest.mark.slow
def test_slices_of_noise_are_seldom_sure():
    """The held-out half tests what the other suggests: labels drawn anyhow, so that nothing is to be found."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        label = np.where(rng.random(len(WORLD.ids)) < 0.3, (WORLD.pred + 1) % 3, WORLD.pred)
        rows = slices(WORLD.inputs(label=label, hue=False), finders=["cells"])
        found.append(any(row["q_value"] < 0.05 for row in rows))
    assert sum(found) <= 4  # of 20 runs at .05: more than 4 in 1 of 400


def test_chance_is_hypergeometric_and_same_are_those_that_share_half():
    # 10 images, 4 wrong; of 3 drawn at least 2 wrong: (6 x 6 + 4) / 120.
    np.testing.assert_allclose(np.exp(chance(np.array([2.0]), np.array([3.0]), 4, 10)), [40 / 120])
    assert np.isnan(chance(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 4, 10)).tolist() == [True, False]
    assert np.isnan(chance(np.array([1.0]), np.array([1.0]), 10, 10)).all()
    from scipy.sparse import csr_matrix

    members = csr_matrix(np.array([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1.0]]))
    wrong = np.array([0, 1, 0, 0, 0.0])
    # 2 of 3; 1 of 3 of the first, of which it is the one that is wrong: 1 of 1 where 1 of 3 are, which chance does.
    assert same(members, wrong).tolist() == [-1, 0, 0, -1]


def test_intervals_of_those_that_were_chosen_for_being_high():
    """Of 60 slices 10 fail twice as often as the others: of the intervals of those that are sure 5 % may miss."""
    rng, rates = np.random.default_rng(0), np.r_[np.full(50, 0.15), np.full(10, 0.3)]
    p = np.exp(chance(np.arange(41.0), np.full(41, 40.0), 480, 3000))
    missed, plain, count = 0, 0, 0
    for _ in range(400):
        errors = rng.binomial(40, rates)
        sure = np.flatnonzero(bh(p[errors]) < 0.05)
        for z, own in ((1.96, False), (wider(max(1, len(sure)), 60), True)):
            low, high = wilson_bounds(errors[sure] / 40, np.full(len(sure), 40), z)
            out = int(((rates[sure] < low) | (rates[sure] > high)).sum())
            missed, plain = missed + own * out, plain + (not own) * out
        count += len(sure)
    assert plain / count > 0.12 and missed / count < 0.06


def test_a_slice_that_tells_no_more_than_another_is_the_same():
    from scipy.sparse import csr_matrix

    wrong = np.zeros(200)
    wrong[:20] = wrong[60:64] = 1  # of the large slice 20 of 60, of the others 4 of 140
    large, as_bad, worse, apart = (np.zeros(200) for _ in range(4))
    large[:60] = as_bad[15:30] = worse[:10] = apart[56:66] = 1

    def of(*slices: np.ndarray, wrong: np.ndarray = wrong) -> list[int]:
        return same(csr_matrix(np.stack(slices)), wrong).tolist()

    assert of(large, as_bad) == [-1, 0]  # 5 of 15 where 20 of 60 are wrong
    assert of(large, worse) == [-1, -1]  # 10 of 10: (40 over 10) less than one in a thousand draws
    assert of(large, apart) == [-1, -1]  # 4 of its 10 lie within
    assert of(worse, large) == [-1, -1]  # what is about it still fails more than all: 10 of 50, of all 24 of 200
    around, half = np.zeros(200), np.zeros(200)
    around[:10] = around[100:150] = half[15:25] = half[100:108] = 1
    assert of(large, half) == [-1, 0]  # 10 of its 18, of which 5 are wrong, and none of those besides
    half[60:64] = 1
    assert of(large, half) == [-1, -1]  # 10 of 22, too few
    half[100:108] = 0
    assert of(large, half) == [-1, 0]  # 10 of 14, and 4 that fail besides: no slice by themselves
    half[15:25] = 0
    half[20:24] = 1
    assert of(large, half) == [-1, -1]  # 4 of 8, and the other 4 fail
    assert of(worse, around) == [-1, 0]  # what is about it, 0 of 50, does not
    assert of(large, worse, wrong=np.full(200, np.nan)) == [-1, 0]  # without labels none fails more


def test_losses_and_maps_by_hand():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]))
    probabilities, loss = judged(logits, assigned(pa.array([1, None], pa.int32())), "softmax")
    np.testing.assert_allclose(probabilities, np.exp(logits))
    np.testing.assert_allclose(loss, [-np.log(0.2), np.nan])
    several = assigned(pa.array([[0, 2]], pa.list_(pa.int32())))
    _, loss = judged(np.array([[1.0, -2.0, 0.5]]), several, "sigmoid")
    share = 1 / (1 + np.exp(-np.array([1.0, -2.0, 0.5])))
    np.testing.assert_allclose(loss, [-np.log(share[0]) - np.log(1 - share[1]) - np.log(share[2])])
    np.testing.assert_allclose(means(np.array([[1, 2, 3], [3, 4, 5.0]]), 2), [[4 / 3, 8 / 3], [10 / 3, 14 / 3]])
    np.testing.assert_allclose(means(np.array([[5.0, 7.0]]), 4)[0], [5, 5, 7, 7])


def test_pooled_features_may_come_from_sampled_positions_and_a_large_half_is_sampled(monkeypatch):
    whole = Halves(WORLD.inputs(), 0, None, 1, "activations/deep", None)
    np.testing.assert_allclose(whole.part(0).features, WORLD.features[:80].astype(np.float16), rtol=1e-2, atol=1e-3)
    monkeypatch.setattr("activation_atlas.stages.slices.reading.MOST", 40)
    some = Halves(WORLD.inputs(), 0, None, 1, None, None)
    assert sum(int(k.sum()) for k in some.chosen) == 40
    assert not any((c & h).any() for c, h in zip(some.chosen, some.held, strict=True))
    assert set(some.search().ids) <= set(whole.search().ids)


def config(**audit) -> Config:
    atlases = [{"name": "a", "layer": "one", "class": "cat"}, {"name": "b", "layer": "two", "grids": [5, 10, 20, 40]}]
    return Config(model={"path": "m.keras", "classes": CLASSES}, images={"path": "i"}, atlases=atlases, **audit)


def test_an_audit_alone_has_slices_and_features_of_its_layer():
    found = {s.stage.name: s.params for s in steps(config(audit={}))}
    assert (found["slices"].view.name, found["slices"].grid, found["slices"].features) == ("b", 20, "features/two")
    assert found["extract"].features == ["two"] and found["slices"].maps is None
    plain = {s.stage.name: s.params for s in steps(config())}
    assert "slices" not in plain and plain["extract"].features == []
    with pytest.raises(UserError, match="audit.atlas: there is no atlas 'c'; there are a, b"):
        steps(config(audit={"atlas": "c"}))
    with pytest.raises(UserError, match="audit.grid: atlas 'b' has no grid 30, but 5, 10, 20, 40"):
        steps(config(audit={"grid": 30}))
    maps = {"explain": {"methods": ["grad_cam"]}}
    assert {s.stage.name: s.params for s in steps(config(audit={}, **maps))}["slices"].maps == "maps/grad_cam"
