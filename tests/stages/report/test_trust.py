"""The sheet of figures on the maps: drawn from any tables, nothing cut off, None where there is nothing."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from matplotlib.colors import to_hex

from activation_atlas.stages import tables
from activation_atlas.stages.drawing.sheet import PAPER
from activation_atlas.stages.report.trust import trust_figure
from tests import quick

MANY = ["cam", "eigen_cam", "expected_gradients", "grad_cam_plus_plus", "guided_backprop", "integrated_gradients"]
MANY += ["layer_cam", "occlusion", "rise", "saliency", "score_cam", "smooth_grad"]


def of(names, pointing=True, drawn=True, road=False):
    """Tables of a run over ``names``."""
    rng = np.random.default_rng(0)
    means, pairs, cascades = [], [], {}
    for name in [*names, "random"]:
        for measure in (
            "deletion",
            "insertion",
            *(("road_morf", "road_lerf") if road else ()),
            *(("pointing", "energy", "area", "iou", "localised") if pointing else ()),
        ):
            at = float(rng.uniform(0.1, 0.6))
            about = {"variant": name, "measure": measure, "mean": at, "low": at - 0.1, "high": at + 0.1, "n": 9}
            better = 0.5 if measure in ("deletion", "insertion") and name != "random" else None
            means += [about | {"kind": kind, "better": better, "against": None} for kind in ("label", "predicted")]
    for k, name in enumerate(sorted(names)):
        pairs += [
            {"variant": name, "other": other, "mean": float(rng.uniform(-1, 1)), "low": -1.0, "high": 1.0, "n": 9}
            for other in sorted(names)[k + 1 :]
        ]
        chance = {"other": "random", "mean": 0.0123, "low": -0.1, "high": 0.1, "n": 9}
        pairs.append(chance | {"variant": name})
        rows = [
            {"depth": d, "layers": 9, "layer": "x", "images": 4, "mean": 1 / d, "low": 0.0, "high": 1.0, "n": 4}
            | {"mean_abs": None, "low_abs": None, "high_abs": None, "n_abs": 0}
            for d in (1, 4, 9)
        ]
        cascades[name] = pa.Table.from_pylist(rows, schema=tables.randomization())
    again = rows[-1] | {"mean": 0.0345, "low": -0.06, "high": 0.13, "copies": None}
    cascades["random"] = pa.Table.from_pylist([again], schema=tables.randomization())
    trust = pa.Table.from_pylist(means, schema=tables.trust())
    return trust, pa.Table.from_pylist(pairs, schema=tables.agreement()), cascades if drawn else {}


def removed(names, kinds=("label", "predicted")):
    """A table of the curves of ROAD."""
    ends = {f"{by}{end}": value for by in ("morf", "lerf") for end, value in (("", 0.5), ("_low", 0.3), ("_high", 0.7))}
    rows = [
        ends | {"variant": name, "kind": kind, "percent": percent, "n": 9, "morf": 0.9 - percent / 200}
        for name in (*names, "random")
        for kind in kinds
        for percent in (10, 20, 30, 40, 50, 70, 90)
    ]
    return pa.Table.from_pylist(rows, schema=tables.road_curves())


def with_lost(cascades, lost):
    """The cascades, with so many images left out of a variant's last depths: {variant: [..., last depth]}."""
    found = dict(cascades)
    for name, counts in lost.items():
        rows = found[name].to_pylist()
        for row, n in zip(rows[-len(counts) :], counts, strict=True):
            row["n"] -= n
            if not row["n"]:
                row |= {"mean": None, "low": None, "high": None}
        found[name] = pa.Table.from_pylist(rows, schema=tables.randomization())
    return found


def texts(sheet):
    return [t for t in sheet.axes.texts if t.get_text()]


@pytest.mark.parametrize("lost", quick.first([[1, 3], [], [4]]))
@pytest.mark.parametrize("names", [["grad_cam"], ["grad_cam", "occlusion"], MANY])
def test_every_label_lies_on_the_sheet_and_none_on_another(names, lost):
    trust, agreement, cascades = of(names, road=len(names) == 2 or bool(lost))
    cascades = with_lost(cascades, {name: lost for name in names if lost})
    curves = removed(names) if len(names) == 2 or lost else None
    sheet = trust_figure(trust, agreement, cascades, curves, model="a model of a long name")
    boxes = [(t.get_text(), t.get_rotation(), sheet.box(t)) for t in texts(sheet)]
    for words, _, (left, top, right, bottom) in boxes:
        assert 0 <= left and right <= sheet.width and 0 <= top and bottom <= sheet.height, words
    level = [(words, box) for words, turn, box in boxes if not turn]
    for k, (words, one) in enumerate(level):
        for other, two in level[k + 1 :]:
            wide = min(one[2], two[2]) - max(one[0], two[0])
            high = min(one[3], two[3]) - max(one[1], two[1])
            assert wide <= 1 or high <= 4, (words, other)
    for name in names:
        assert sum(t.get_text() == name for t in texts(sheet)) >= 2


def test_its_numbers_are_those_of_the_tables():
    trust, agreement, cascades = of(["grad_cam", "occlusion"], pointing=False)
    said = [t.get_text() for t in texts(trust_figure(trust, agreement, cascades))]
    rows = [r for r in trust.to_pylist() if r["kind"] == "predicted"]
    assert all(f"{r['mean']:.3f}" in said for r in rows)
    assert said.count(f"{agreement['mean'][0].as_py():.2f}".replace("-", "−")) == 2
    assert "pointing game" not in said and "random, as smooth as a CAM" in said
    assert "16 images" not in " ".join(said) and "4 images" in " ".join(said)


def test_parts_that_were_not_asked_for_are_left_out():
    trust, agreement, cascades = of(["grad_cam", "occlusion"])
    assert "Agreement of methods" not in [t.get_text() for t in texts(trust_figure(trust, None, cascades))]
    assert "Maps of a model that forgets" not in [t.get_text() for t in texts(trust_figure(trust, agreement, {}))]
    assert trust_figure(None, agreement, {}).pixels().shape[2] == 3
    # Neither asked for: the table follows the heading, and nothing is blank between them.
    assert trust_figure(trust, None, {}).height < trust_figure(trust, agreement, {}).height - 500
    assert trust_figure(None, None, {}) is None
    assert trust_figure(trust.slice(0, 0), agreement.slice(0, 0), {}) is None


@pytest.mark.slow
def test_what_a_random_map_scores_stands_beside_the_methods():
    trust, agreement, cascades = of(["grad_cam", "occlusion"])
    said = [t.get_text() for t in texts(trust_figure(trust, agreement, cascades))]
    assert said.count("0.01") == 2 and "a random map" in said, "below each method of the matrix"
    assert "0.03" in said and "[−0.06, 0.13]" in said, "in the column of the shuffled model"
    assert said.count("random, as smooth as a CAM") == 2, "of its line, and of its row"
    assert "does not tell knowing from noise" in " ".join(said)
    one = [t.get_text() for t in texts(trust_figure(*of(["grad_cam"])))]
    assert "Agreement of methods" not in one, "one method agrees with nobody"


@pytest.mark.slow
def test_the_smooth_form_has_a_column_where_it_was_asked_for():
    trust, agreement, cascades = of(["grad_cam", "occlusion"])
    plain = [t.get_text() for t in texts(trust_figure(trust, agreement, cascades))]
    assert "the same, smooth" not in plain
    rows = cascades["grad_cam"].to_pylist()
    smooth = {"mean_smooth": 0.4321, "low_smooth": 0.4, "high_smooth": 0.5, "n_smooth": 4, "copies": 25}
    cascades["grad_cam"] = pa.Table.from_pylist([row | smooth for row in rows], schema=tables.randomization())
    said = [t.get_text() for t in texts(trust_figure(trust, agreement, cascades))]
    assert "the same, smooth" in said and "maps averaged over 25 copies" in said
    assert "0.43" in said and "[0.40, 0.50]" in said


@pytest.mark.slow
def test_the_curves_of_road_begin_where_nothing_is_removed():
    trust, agreement, _ = of(["grad_cam", "occlusion"], road=True)
    plain = trust_figure(trust, agreement, {})
    sheet = trust_figure(trust, agreement, {}, removed(["grad_cam", "occlusion"]))
    said = [t.get_text() for t in texts(sheet)]
    assert sum(words.startswith("share still of the class") for words in said) == 2 and sheet.height > plain.height
    colour = {"grad_cam": "#0072b2", "occlusion": "#d55e00"}
    for name, color in colour.items():
        drawn = [line for line in sheet.axes.lines if line.get_color() == color and len(line.get_xdata()) > 2]
        assert [len(line.get_xdata()) for line in drawn] == [8, 8], name
    only = trust.filter(pc.equal(trust["kind"], "label"))
    sheet = trust_figure(only, agreement, {}, removed(["grad_cam", "occlusion"], ("label",)))
    assert not [line for line in sheet.axes.lines if len(line.get_xdata()) == 8], "how many were right is not known"


def test_the_same_tables_give_the_same_picture():
    assert trust_figure(*of(["cam", "rise"])).png() == trust_figure(*of(["cam", "rise"])).png()


def test_it_says_how_many_images_each_figure_is_of():
    trust, agreement, cascades = of(["grad_cam", "occlusion"], pointing=False)
    fewer = trust.to_pylist()
    next(r for r in fewer if r["variant"] == "occlusion" and r["kind"] == "predicted")["n"] = 5
    cascades = with_lost(cascades, {"grad_cam": [1]})
    sheet = trust_figure(pa.Table.from_pylist(fewer, schema=tables.trust()), agreement, cascades)
    said = " ".join(t.get_text() for t in texts(sheet))
    assert "Means over 5 to 9 images" in said and "the model's own maps, 4 images" in said
    assert "class, 9 images" in said


def marks(sheet):
    """(hollow dots, crosses) of the drawing."""
    hollow = [d for d in sheet.axes.collections if to_hex(d.get_facecolor()[0]) == PAPER and len(d.get_offsets())]
    strokes = [
        x for x in sheet.axes.lines if len(x.get_xdata()) == 2 and np.ptp(x.get_xdata()) == np.ptp(x.get_ydata())
    ]
    return sum(len(d.get_offsets()) for d in hollow), len(strokes) // 2


def test_maps_that_become_one_value_are_no_missing_method():
    trust, agreement, cascades = of(["cam", "grad_cam", "occlusion"], pointing=False)
    sheet = trust_figure(trust, agreement, cascades)
    said = " ".join(t.get_text() for t in texts(sheet))
    assert marks(sheet) == (0, 0) and "hollow" not in said and "has changed altogether" not in said
    sheet = trust_figure(trust, agreement, with_lost(cascades, {"grad_cam": [1, 3], "occlusion": [4, 4, 4]}))
    said = [t.get_text() for t in texts(sheet)]
    assert marks(sheet) == (2, 3), "depths some of whose maps count, and those of none"
    assert any("1 of 4 maps" in words for words in said) and "0 of 4 maps" in said and "–" in said
    assert any(words.startswith("hollow: maps without ranks") for words in said)
    assert "has changed altogether, but has no ranks" in " ".join(said)
