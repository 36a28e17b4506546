"""Validity: every figure against a slow twin, replicates against weights counted out, intervals against known truth."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from activation_atlas.pipeline.config import load
from activation_atlas.pipeline.steps import steps
from activation_atlas.stages import validity as stage
from activation_atlas.stages.attribute import STAGE as ATTRIBUTE
from activation_atlas.stages.attribute import Params as AttributeParams
from activation_atlas.stages.clusters import Grids
from activation_atlas.stages.groups import Given
from activation_atlas.stages.keys import cell as cell_of
from activation_atlas.stages.keys import find
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tables import validity as schema
from activation_atlas.stages.validity import STAGE, Params, judging
from activation_atlas.stages.validity.bootstrap import Draws, correlations, fisher, lifts
from activation_atlas.stages.validity.measures import centred, correlation, lift, moments, warmest
from activation_atlas.stages.validity.photographs import Photographs, Replicates
from benchmarks.classview.coverage import World, cover
from tests.stages.rows import blobs, memory, view
from tests.stages.test_grid import gridded, lay_out

IMAGES, POSITIONS = 60, 5
RNG = np.random.default_rng(3)
PRED = RNG.integers(0, 3, IMAGES).tolist()  # nothing is taken for a crane
LABELS = [None if k % 7 == 0 else int(RNG.integers(0, 4)) for k in range(IMAGES)]
VALUES = (RNG.normal(size=(IMAGES * POSITIONS, 4)) + 2 * np.eye(4)[np.repeat(PRED, POSITIONS)]).astype(np.float16)


def atlas(values=VALUES, grids=(2, 4), **options):
    rows = len(values) if values is not None else IMAGES * POSITIONS
    options = {"labels": LABELS, "pred": PRED, "shard_images": 25, **options}
    inputs = lay_out(memory(blobs(rows), values, positions=POSITIONS, **options))
    gridded(inputs, list(grids))
    return inputs


def judged(inputs, **options):
    table = inputs.run(STAGE, Params(view=view(), **{"min_count": 2, **options}), "atlas")["validity/atlas"]
    assert table.schema == schema() and inputs.state("validity", "atlas")["statistic"]
    return table


def rows_of(table) -> dict:
    return {(r["grid"], r["statistic"], r["kind"], r["class"], r["group"]): r for r in table.to_pylist()}


# -- slow twins ----------------------------------------------------------------------


def slow_heat(values: np.ndarray, statistic: str) -> np.ndarray:
    """What each row adds to the mean that is shown, row by row: (rows, classes)."""
    values = values.astype(np.float64)
    if statistic == "relative":
        return values - values.mean(1, keepdims=True)
    if statistic == "top_share":  # of 4 classes the highest alone
        return np.array([[float(k == int(np.argmax(row))) for k in range(len(row))] for row in values])
    return values


def slow_figures(cells: list, heat: np.ndarray, mine: np.ndarray, among: np.ndarray, min_count: int) -> tuple:
    """Correlation over cells and lift of one class, cell by cell.

    ``cells``: the cell of every row; ``heat``: (rows,); ``mine``, ``among``: (rows,) bool.
    """
    found = []
    for one in sorted(set(cells)):
        own = np.array([c == one for c in cells])
        if own.sum() >= min_count:
            counted = own & among
            found.append((heat[own].mean(), counted.sum(), (mine & counted).sum()))
    heats, rows, hits = (np.array(column, np.float64) for column in zip(*found, strict=True))
    kept = rows > 0
    figure = np.corrcoef(heats[kept], hits[kept] / rows[kept])[0, 1]
    need, got, warm = 0.05 * rows.sum(), 0.0, 0.0
    for value in sorted(set(heats[kept]), reverse=True):
        tied = kept & (heats == value)
        part = min(1.0, (need - warm) / rows[tied].sum())
        warm, got = warm + part * rows[tied].sum(), got + part * hits[tied].sum()
        if warm >= need - 1e-9:
            break
    return figure, (got / warm) / (hits.sum() / rows.sum())


def test_every_figure_against_the_slow_twin():
    inputs = atlas()
    groups = Given(listed={"boats": ("fireboat",), "others": ("1-3",)})
    found = rows_of(judged(inputs, groups=groups))
    rows, layout = inputs.table("activations/deep"), inputs.table("layouts/atlas")
    where = find(layout, rows)
    values = to_numpy(rows["attribution"])[where]
    image = np.array([sorted(set(rows["image_id"].to_pylist())).index(i) for i in layout["image_id"].to_pylist()])
    pred, label = np.array(PRED)[image], np.array([-1 if k is None else k for k in LABELS])[image]
    for grid in (2, 4):
        x, y = (cell_of(layout[name].to_numpy(), grid) for name in ("x", "y"))
        cells = list(zip(x.tolist(), y.tolist(), strict=True))
        for statistic in ("mean", "relative", "top_share"):
            heat = slow_heat(values, statistic)

            def twin(k, mine, among, cells=cells, heat=heat):
                return slow_figures(cells, heat[:, k], mine, among, 2)

            everything = np.ones(len(pred), bool)
            each = {"predicted": [k for k in range(4) if PRED.count(k) >= 10]}
            each["label"] = [k for k in range(4) if LABELS.count(k) >= 10]
            for kind, of, among in (("predicted", pred, everything), ("label", label, label >= 0)):
                wanted = {k: twin(k, of == k, among) for k in each[kind]}
                for k, (figure, lifted) in wanted.items():
                    got = found[grid, statistic, kind, k, None]
                    assert np.allclose([got["correlation"], got["lift"]], [figure, lifted], atol=2e-5), (
                        grid,
                        statistic,
                        kind,
                        k,
                    )
                    assert got["low"] <= got["correlation"] <= got["high"] and got["lift_low"] <= got["lift_high"]
                    assert got["classes"] == 1 and got["cells"] == len(set(cells))
                    assert got["photographs"] == (PRED if kind == "predicted" else LABELS).count(k)
                got = found[grid, statistic, kind, None, None]
                assert np.allclose(got["correlation"], np.median([f for f, _ in wanted.values()]), atol=2e-5)
                assert np.allclose(got["lift"], np.median([f for _, f in wanted.values()]), atol=2e-5)
                assert got["classes"] == len(wanted)
            others = [twin(k, pred >= 1, everything) for k in (1, 2, 3)]
            boats = twin(0, pred == 0, everything)
            for name, wanted in (("others", np.median(others, 0)), ("boats", boats)):
                got = found[grid, statistic, "group", None, name]
                assert np.allclose([got["correlation"], got["lift"]], wanted, atol=2e-5)
            got = found[grid, statistic, "group", None, None]
            assert np.allclose(got["correlation"], np.mean([boats[0], np.median(others, 0)[0]]), atol=2e-5)


@pytest.mark.parametrize("mode", ["all", "top"])
def test_what_is_judged_is_what_the_cells_tell(mode):
    known = np.stack([np.random.default_rng(i).permutation(4)[:2] for i in range(len(VALUES))])
    inputs = atlas(VALUES[:, :2], top_classes=known) if mode == "top" else atlas()
    cells = inputs.run(ATTRIBUTE, AttributeParams(view=view()), "atlas")["cells/atlas"]
    finest = cells.filter(np.array(cells["grid"].to_numpy() == 4))
    extract = inputs.state("extract", "")
    grids = Grids(cells)
    photographs = Photographs.of(inputs, view(), grids)
    plain, level, high = photographs.sums(inputs, view(), extract, grids, [3, 0, 1, 2])
    replicates = Replicates(photographs, 3, seed=5)
    count = finest["count"].to_numpy()
    for sums, column in ((plain, "attribution"), (high, "top_share")):
        told = to_numpy(finest[column])[:, [3, 0, 1, 2]]
        assert np.allclose(replicates.sums(sums)[:, 0] / count[:, None], told, atol=1e-5)
    assert np.allclose(
        replicates.sums(level[:, None])[:, 0, 0] / count, to_numpy(finest["attribution"]).mean(1), atol=1e-5
    )
    for k in range(4):  # a replicate counts every row as often as its photograph is drawn
        times = replicates.times[photographs.owner, k].astype(np.float64)
        for cell in range(photographs.cells):
            own = photographs.cell == cell
            assert (
                replicates.rows(np.array(PRED) == 1)[k, cell]
                == (times * photographs.rows * (np.array(PRED)[photographs.owner] == 1))[own].sum()
            )
            assert np.allclose(replicates.sums(plain)[cell, k], (times[own, None] * plain[own]).sum(0), atol=1e-4)
    assert (replicates.times[:, 0] == 1).all() and (replicates.times.sum(0) == IMAGES).all()


# -- what is given by hand ---------------------------------------------------------------


def test_a_correlation_and_a_lift_by_hand():
    heat, rows = np.array([[4.0, 2.0, 0.0, 9.0]], np.float32), np.array([[10.0, 10.0, 80.0, 0.0]], np.float32)
    own = np.array([[6.0, 2.0, 2.0, 0.0]], np.float32)
    held = rows > 0
    of = moments(centred(heat, held), centred(own / np.maximum(rows, 1), held), held.sum(1))
    assert np.isclose(correlation(of)[0], np.corrcoef([4, 2, 0], [0.6, 0.2, 0.025])[0, 1])
    assert warmest(heat, rows).tolist() == [[0.5, 0, 0, 0]]  # 5 of its 10 rows are 5 % of 100
    assert np.isclose(lift(warmest(heat, rows), own, rows)[0], 0.6 / 0.1)
    many, few = -np.arange(20, dtype=np.float32)[None], np.repeat(np.float32([1, 100]), 10)[None]
    assert np.allclose(warmest(many, few), [[*[1] * 10, 0.405, *[0] * 9]])  # the warmest cells hold little
    tied = np.zeros((1, 4), np.float32)
    assert np.allclose(warmest(tied, rows), [[0.05, 0.05, 0.05, 0]]) and np.isclose(
        lift(warmest(tied, rows), own, rows)[0], 1
    )
    same = centred(np.full((1, 4), 0.1, np.float32), held)
    assert np.isnan(correlation(moments(same, centred(own, held), held.sum(1)))[0])


def test_noise_that_drawing_anew_adds_is_taken_away_once():
    """A variance of 1 of what is and 1 of noise is 2 in the sample and 3 in replicates: sqrt(1/2) of the truth."""
    sample = np.array([[[0.4, 2.0, 1.0]]])
    drawn = np.tile(np.array([[[0.4, 3.0, 1.0]]]), (50, 1, 1))
    drawn[::2, :, 0], drawn[1::2, :, 0] = 0.5, 0.3
    found = correlations(np.concatenate([sample, drawn]))
    assert np.isclose(found.value[0], 0.4 / np.sqrt(2)) and np.isclose(found.centre[0], 0.4)
    low, high = found.interval(fisher, np.tanh, np.array([100]))
    spread = 0.1 / np.sqrt(3) * np.sqrt(3 / 1) / (1 - 0.4**2)  # of the replicates, enlarged as the correction does
    assert np.allclose([low[0], high[0]], np.tanh(fisher(0.4) + np.array([-1, 1]) * 1.9842 * spread), atol=1e-4)


def test_what_hangs_on_one_photograph_is_not_told():
    """Of one cell alone the heat is another, by a photograph that a third of the replicates lacks."""
    moments = np.tile(np.array([[[0.1, 0.1, 0.1], [0.1, 0.1, 0.1]]]), (61, 1, 1))
    moments[1:61:3, 0, :2] = 0
    found = correlations(moments)
    assert np.isnan(found.value).tolist() == [True, False] and np.isnan(found.centre).tolist() == [True, False]


def test_an_interval_of_nothing_is_nothing_and_holds_what_the_sample_says():
    around = np.random.default_rng(0).normal(0.3, 0.05, (99, 1))
    draws = Draws(np.array([0.9]), np.array([0.3]), around, around)
    low, high = draws.interval(fisher, np.tanh, np.array([20]))
    assert low[0] < 0.3 and np.isclose(high[0], 0.9)
    nothing = Draws(draws.value, draws.centre, np.full((99, 1), np.nan), around, either=True)
    for one, photographs in ((nothing, 20), (draws, 1), (lifts(np.array([[2.0], [1.0]])), 1)):
        assert np.isnan(one.interval(fisher, np.tanh, np.array([photographs]))).all()
    drawn = np.array([[2.0], [1.0], [1.5], [2.5]])
    assert np.isclose(lifts(drawn).centre[0], np.expm1(np.log1p([1.0, 1.5, 2.5]).mean()))


# -- intervals and the truth -------------------------------------------------------------


def test_intervals_hold_the_truth():
    """About 150 intervals of each figure; the many of ``python -m benchmarks classview`` cover 95 to 99 %."""
    found = cover(World(classes=5, cells=40, photographs=100), atlases=30, replicates=100)
    for name in ("correlation", "lift"):
        assert found[name]["covers"] >= 0.91 and found[f"median {name}"]["covers"] >= 0.85, found
    assert found["correlation"]["off"] < -0.02, "noise makes the sample's own correlation smaller"
    assert found["correlation"]["width"] < 0.6 and found["lift"]["width"] < 4


# -- what runs may hold --------------------------------------------------------------------


def test_classes_of_few_photographs_are_judged_together_and_groups_of_few_not_at_all(monkeypatch):
    monkeypatch.setattr(stage, "MANY", 40)
    inputs = atlas()
    found = rows_of(judged(inputs))
    assert {key[2:] for key in found} == {("predicted", None, None), ("label", None, None)}
    assert inputs.state("validity", "atlas")["over"] == "commonest"
    assert found[4, "mean", "predicted", None, None]["photographs"] == min(PRED.count(k) for k in range(3))
    inputs = atlas()
    found = rows_of(judged(inputs, groups=Given(listed={"few": ("2",), "many": ("0-2",)})))
    few, many = (found[4, "mean", "group", None, name] for name in ("few", "many"))
    assert few["correlation"] is None and few["low"] is None and few["photographs"] == PRED.count(2)
    assert many["photographs"] == IMAGES and many["correlation"] is None  # everywhere: no correlation either
    assert not any(key[2] == "predicted" for key in found)
    assert inputs.state("validity", "atlas")["over"] == "groups"


def test_without_labels_with_one_cell_or_one_class_or_sigmoids():
    found = rows_of(judged(atlas(labels=[None] * IMAGES)))
    assert {key[2] for key in found} == {"predicted"}
    for options in ({"grids": (1,)}, {"pred": [1] * IMAGES, "labels": None}):  # one cell; nothing to tell apart
        inputs = atlas(**options)
        assert {row["correlation"] for row in judged(inputs).to_pylist()} <= {None}
        assert inputs.state("validity", "atlas")["statistic"] == "top_share"
    inputs = atlas(VALUES[:, :1], attributed=[1])
    assert {key[1] for key in rows_of(judged(inputs))} == {"mean"}
    assert inputs.state("validity", "atlas")["statistic"] == "mean"
    both = judged(atlas(VALUES[:, :2], attributed=[0, 1]), groups=Given(listed={"both": ("0-1",)}))
    own = [row for row in both.to_pylist() if row["kind"] == "group"]
    assert own and {(r["correlation"], r["lift"]) for r in own} == {(None, None)}, "what one gains another loses"
    inputs = atlas()
    inputs.states["extract", ""]["kind"] = "sigmoid"
    assert {key[1] for key in rows_of(judged(inputs))} == {"mean", "top_share"}


def test_the_statistic_shown_is_top_share_unless_another_is_clearly_better():
    """What is highest says nothing of classes that never are, and little of those that hardly ever are."""
    for loudness, clearly in ((20, False), (6, True)):
        loud = VALUES.astype(np.float32)
        loud[:, 3] = loudness + 2 * np.random.default_rng(1).normal(size=len(loud))
        inputs = atlas(loud)
        judged(inputs)
        state = inputs.state("validity", "atlas")
        assert state["statistic"] in ("mean", "relative")
        best = max((row["low"] for row in state["metrics"]["compared"]), default=0)
        assert (best > 0) == clearly == ("shown for a class is the mean attribution" in " ".join(inputs.notes))
    inputs = atlas()
    judged(inputs)
    state = inputs.state("validity", "atlas")
    assert state["statistic"] == "top_share" and not inputs.notes
    assert {row["statistic"] for row in state["metrics"]["compared"]} == {"mean", "relative"}
    assert state["metrics"]["grids"]["4"]["predicted"]["top_share"]["correlation"] is not None


def test_chunks_of_classes_do_not_show(monkeypatch):
    whole = judged(atlas())
    monkeypatch.setattr(judging, "MEMORY", 1)
    assert judged(atlas()).equals(whole)


def test_a_run_judges_every_atlas_with_attributions(tmp_path):
    (tmp_path / "g.yaml").write_text("boats: [fireboat, 2]\n")
    atlases = [{"name": n, "layer": "deep", "min_count": 3, "images": n == "whole"} for n in ("all", "whole")]
    config = {"model": {"path": "m.keras"}, "images": {"path": "x"}, "atlases": atlases, "run": {"seed": 4}}

    def validity(**more):
        (tmp_path / "c.yaml").write_text(yaml.safe_dump({**config, **more}))
        return {s.label: s.params for s in steps(load(str(tmp_path / "c.yaml"))) if s.stage is STAGE}

    assert validity() == {"all": Params(view=view().model_copy(update={"name": "all"}), min_count=3, seed=4)}
    asked = validity(classes={"groups": "g.yaml"})["all"].groups
    assert asked.listed == {"boats": ("fireboat", "2")} and "where" not in asked.model_dump()
    assert validity(extract={"attribution": "none"}) == {}
