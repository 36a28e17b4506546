"""The sheet of figures on the maps: drawn from any tables, nothing cut off, None where there is nothing."""

import numpy as np
import pyarrow as pa
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
        rows = [
            {"depth": d, "layers": 9, "layer": "x", "images": 4, "mean": 1 / d, "low": 0.0, "high": 1.0, "n": 4}
            | {"mean_abs": None, "low_abs": None, "high_abs": None, "n_abs": 0}
            for d in (1, 4, 9)
        ]
        cascades[name] = pa.Table.from_pylist(rows, schema=tables.randomization())
    trust = pa.Table.from_pylist(means, schema=tables.trust())
    return trust, pa.Table.from_pylist(pairs, schema=tables.agreement()), cascades if drawn else {}


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
    sheet = trust_figure(trust, agreement, cascades, model="a model of a long name")
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
