"""Images that are shared, cells that fill and empty, sets that get better and worse, predictions that change."""

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages.compared import Given, compared
from activation_atlas.stages.compared.described import COLUMNS
from activation_atlas.stages.compared.links import linked, units
from activation_atlas.stages.compared.population import shifted, together
from activation_atlas.stages.compared.runs import argued, pairs, read_rows, read_run
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.tasks import LABELS, QUANTITIES
from tests.stages.compared.made import called, inputs, run, truth

VIEW = ViewSpec(name="main", layer="deep")


def given(made, **options):
    return Given(made, VIEW, 10, lambda: made.inputs.stream("layouts/main"), **options)


def compare(one, two, same_model=True, **options):
    """One layout is that of both: places follow from the class."""
    layouts = tuple(lambda made=made: made.inputs.stream("layouts/main") for made in (one, two))
    placed = layouts if same_model else None
    return compared(given(one), given(two), pairs(one, two), placed=placed, positions=True, **options)


def test_images_are_shared_by_content():
    one, two = run(called(20)), run(called(20, 10), name="two")
    two.files[:3] = ["changed", one.files[2], None]  # of id 10, 11, 12
    found = pairs(one, two)
    # Number 10 has changed, 12 is not known; 11 now holds what image 2 was.
    assert found.changed == 3 and len(found) == 8
    assert (2, 1) in zip(found.one.tolist(), found.two.tolist(), strict=True)
    assert all(one.files[a] == two.files[b] for a, b in zip(found.one, found.two, strict=True))


def test_a_class_that_goes_empties_its_cells():
    names = called(600)
    kept = [name for name, k in zip(names, truth(names), strict=True) if k != 2]
    one, two = run(names), run([f"new{name}" for name in kept if truth([f"new{name}"])[0] != 2], name="two", seed=1)
    found = compare(one, two)
    rows = found.tables["cells"].to_pylist()
    gone = {(r["cell_x"], r["cell_y"]) for r in rows if r["state"] in ("emptied", "shrank")}
    assert (8, 2) in gone and {x for x, _ in gone} <= {7, 8, 9} and found.shifted
    assert next(r for r in rows if (r["cell_x"], r["cell_y"]) == (8, 2))["state"] == "emptied"
    assert {r["cell_x"] for r in rows if r["state"] == "grew"} <= {0, 1, 2, 3, 4, 5, 6}
    assert any(line.startswith("class otter is 3") and "→ 0.0 %" in line for line in found.shifted)
    assert compare(two, one).population.count("appeared") == found.population.count("emptied") > 0


def test_positions_of_one_image_count_once():
    one, two = run(called(300)), run(called(300, 300), name="two", seed=1)
    many = run(called(300, 300), name="two", seed=1, positions=40)
    few, more = compare(one, two), compare(one, many)
    assert few.tables["cells"]["other_rows"].to_numpy().sum() == 1200
    assert more.tables["cells"]["other_images"].to_numpy().max() <= 300
    assert more.tables["cells"]["other_rows"].to_numpy().sum() == 12000


@pytest.mark.parametrize("overlap", [0, 150])
def test_cells_together_are_wrong_as_often_as_they_say(overlap):
    low = 0
    for seed in range(20):
        start = 1000 * seed
        one, two = run(called(200, start), seed=seed), run(called(200, start + 200 - overlap), name="two", seed=seed)
        rows = [read_rows(made, lambda made=made: made.inputs.stream("layouts/main")) for made in (one, two)]
        image, cell = rows[0].presence(5)
        low += shifted(one, two, *rows, pairs(one, two), 5).p_value < 0.1
    assert low <= 6  # more than 6 of 20 at .1: one in 50


def test_together_finds_what_is_planted_and_nothing_in_one_population():
    image = np.arange(400)
    one = image < 200
    moved = np.where(one, image % 4, image % 3)  # four cells, of which the second run lacks the last
    assert together(image, moved, one, ~one, 4) == pytest.approx(1 / 1001)
    assert together(image, image % 4, one, ~one, 4) > 0.9
    assert np.isnan(together(image, moved, one, one, 4))


def test_accuracy_and_churn_of_shared_images():
    names = called(400)
    one, two = run(names, right=0.95), run(names, name="two", right=0.7, seed=5)
    found = compare(one, two, same_model=False)
    rows = {row["name"]: row for row in found.tables["sets"].to_pylist()}
    whole = rows["all images"]
    before, after = one.correct, two.correct
    assert (
        whole["lost"] == ((before == 1) & (after == 0)).sum()
        and whole["gained"] == ((before == 0) & (after == 1)).sum()
    )
    assert whole["changed"] == (one.pred.only != two.pred.only).sum() == len(found.tables["images"])
    assert whole["change"] == pytest.approx(after.mean() - before.mean()) and whole["high"] < -0.15
    assert {"boat", "crane", "otter"} <= set(rows) and len(found.worse) == 4
    assert found.worse[0].startswith("accuracy of all images 9") and not compare(two, one, False).worse
    assert len(compare(one, two, False, margin=0.9).worse) == 0
    lost = found.tables["images"].slice(0, 1).to_pylist()[0]
    assert lost["change"] == "lost" and lost["pred"] == lost["label"] != lost["other_pred"]


def test_what_argues_for_the_own_class():
    made = run(called(50), right=0.5)
    np.testing.assert_allclose(argued(made, VIEW), 0.5 + made.correct)
    found = compare(run(called(300), right=1.0), run(called(300, 300), name="two", right=0.5)).tables["sets"]
    row = found.slice(0, 1).to_pylist()[0]
    assert row["argued"] == 1.5 and -0.65 < row["argued_low"] < row["argued_change"] < row["argued_high"] < -0.4


def test_classes_are_matched_by_name():
    names = called(300)
    one, two = run(names), run(names, name="two", classes=["ship", "crane", "otter"])
    rows = compare(one, two, same_model=False).tables["sets"].to_pylist()
    by_name = {row["name"]: (row["images"], row["other_images"]) for row in rows if row["kind"] == "class"}
    assert by_name["boat"][1] == by_name["ship"][0] == 0 and by_name["crane"][0] == by_name["crane"][1] > 0


def test_atlases_of_two_models_are_linked_by_what_both_hold():
    one, two = run(called(200)), run(called(200), name="two")
    for part in two.inputs.tables["layouts/main"]:
        turned = part.set_column(3, "x", pa.array(1 - part["x"].to_numpy() - 1e-6))
    two.inputs.tables["layouts/main"] = [turned]
    rows = [read_rows(made, lambda made=made: made.inputs.stream("layouts/main")) for made in (one, two)]
    table = linked(units(*rows, pairs(one, two), (10, 10), True), (10, 10)).to_pylist()
    # Each cell lies mirrored; a row on an edge may go to the neighbour.
    assert all(row["other_cell_x"] == 9 - row["cell_x"] and row["other_cell_y"] == row["cell_y"] for row in table)
    assert np.mean([row["jaccard"] for row in table]) > 0.99
    whole = linked(units(*rows, pairs(one, two), (10, 10), False), (10, 10)).to_pylist()
    assert max(row["units"] for row in whole) < max(row["units"] for row in table) + 200 and len(whole) == len(table)


def test_images_in_both_runs_are_a_set_of_their_own():
    one, two = run(called(300), right=0.5), run(called(100), name="two", right=0.5)
    two.correct[:] = one.correct[:100]  # the same answers, of other images alone
    rows = compare(one, two, same_model=False).tables["sets"].to_pylist()
    assert [row["kind"] for row in rows[:3]] == ["all", "shared", "class"]
    assert rows[1]["change"] == 0 != rows[0]["change"] and rows[1]["images"] == rows[1]["shared"] == 100
    assert compare(one, one, same_model=False).tables["sets"]["kind"].to_pylist().count("shared") == 0


def test_labels_that_changed_are_told():
    one, two = run(called(40)), run(called(40), name="two")
    two.label.index[:3] = (two.label.index[:3] + 1) % 3
    assert compare(one, two, same_model=False).notes == ("3 shared images have another label in the second run",)


@pytest.mark.parametrize("kind", ["numbers", "several", "unlabelled"])
def test_other_answers(kind, tmp_path):
    def of(name, seed):
        made = inputs(called(80), seed=seed)
        (said,) = made.tables["predictions"]
        n = len(said)
        if kind != "unlabelled":
            stored = (QUANTITIES if kind == "numbers" else LABELS).stored
            value = [[0, 1], [2], []] if kind == "several" else [[0.5, 1.5], [2.0, 0.1], [0.0, 9.0]]
            for column, step in (("label", 0), ("pred", seed)):
                rows = [value[(k + step) % 3] for k in range(n)]
                said = said.set_column(said.column_names.index(column), column, pa.array(rows, stored))
        else:
            said = said.set_column(1, "label", pa.nulls(n, pa.int32()))
        if kind != "several":
            said = said.set_column(4, "correct", pa.nulls(n, pa.bool_()))
        made.tables["predictions"] = [said]
        return read_run(name, made)

    found = compare(of("one", 0), of("two", 1), same_model=False)
    whole = found.tables["sets"].to_pylist()[0]
    assert (whole["change"] is None) == (kind != "several") and not found.worse
    assert (whole["churn"] is None) == (kind == "numbers")
    if kind == "several":
        assert whole["churn"] == 1 and {r["other_pred"] for r in found.tables["images"].to_pylist()} == {
            "boat, crane",
            "otter",
            "",
        }
    assert found.lines()


@pytest.mark.slow
def test_every_column_is_described(tmp_path):
    names = called(120)
    one, two = run(names), run(names[20:] + called(20, 200), name="two", seed=1)
    bare = compared(Given(one), Given(two), pairs(one, two))
    bare.tables["sets"] = bare.tables["sets"].filter(pa.array(np.arange(len(bare.tables["sets"])) < 1))
    for found in (compare(one, two), compare(one, two, same_model=False), bare):
        for name, table in found.tables.items():
            assert list(COLUMNS[name]) == table.column_names, name
        assert "compare.html" in found.write(tmp_path)
        assert found.write(tmp_path) and (tmp_path / "compare.png").stat().st_size > 10_000
        page = (tmp_path / "compare.html").read_text()
        assert "What has changed" in page and "nan" not in page.split("<body>")[1].replace("data:", "")[:5000]
