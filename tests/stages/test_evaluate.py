"""What is asked of a map: pointing game, energy, boxes and masks brought to the input, deletion against random."""

from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from activation_atlas.stages import boxes, index, tables
from activation_atlas.stages.evaluate import STAGE, Params, baseline, fit
from activation_atlas.stages.evaluate.pointing import energy, pointing
from activation_atlas.stages.sources.boxes import boxes_of
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.methods.path import IntegratedGradients
from activation_atlas.stages.vision.images import Fit
from activation_atlas.stages.vision.place import Place
from activation_atlas.stages.vision.truth import inside_boxes, inside_mask
from tests.memory import MemoryInputs
from tests.stages.vision import small_models

SIZE = small_models.SIZE


# -- pointing and energy by hand ----------------------------------------------------


def test_pointing_by_hand():
    values = np.array([[0.0, 1.0, 5.0], [2.0, 4.0, 0.0]])
    inside = np.zeros((2, 3), bool)
    inside[1, 1] = True  # the maximum is at (0, 2), the root of 2 away
    assert [pointing(values, inside, by) for by in (0, 1, 1.41, 1.42, 99)] == [0, 0, 0, 1, 1]
    inside[0, 2] = True
    assert pointing(values, inside) == 1


def test_of_equal_maxima_the_share_that_lies_inside_counts():
    values = np.array([[5.0, 1.0, 5.0], [2.0, 5.0, 0.0]])
    inside = np.zeros((2, 3), bool)
    inside[1, 1:] = True
    assert pointing(values, inside) == 1 / 3
    assert pointing(values, inside, tolerance=1) == 2 / 3
    drawn = np.random.default_rng(0).choice([0, 0, 1], 20_000).mean()  # Zhang's game, a maximum drawn each time
    assert pointing(values, inside) == pytest.approx(drawn, abs=0.01)


@pytest.mark.parametrize("by", [0, 1, 2.5, 30])
def test_a_tolerance_is_a_distance_between_centres(by):
    rng = np.random.default_rng(3)
    inside, values = rng.random((7, 9)) < 0.06, rng.integers(0, 3, (7, 9))
    away = [np.hypot(*(np.argwhere(inside) - place).T).min() for place in np.argwhere(values == 2)]
    assert pointing(values, inside, by) == np.mean(np.array(away) <= by)


def test_energy_by_hand():
    values = np.array([[3.0, -7.0], [1.0, 4.0]])
    inside = np.array([[True, True], [False, False]])
    assert energy(values, inside) == 3 / 8
    assert energy(-np.abs(values), inside) is None


# -- boxes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "boxes"),
    [
        ([1, 2, 3, 4.5], [(1, 2, 3, 4.5)]),
        ([1, None, 3, 4], []),
        ([1, float("nan"), 3, 4], []),
        (["[1, 2, 3, 4]"], [(1, 2, 3, 4)]),
        (["[[1, 2, 3, 4], [5, 6, 7, 8]]"], [(1, 2, 3, 4), (5, 6, 7, 8)]),
        (["1 2, 3;4"], [(1, 2, 3, 4)]),
        (["[]"], []),
        ([None], []),
        ([" "], []),
    ],
)
def test_boxes_are_read(values, boxes):
    assert boxes_of(values) == boxes


@pytest.mark.parametrize("text", ["left", "[1, 2, 3]", "[1, 2, 3, null]", "{", "[[1, 2], [3, 4]]"])
def test_what_is_no_box_is_refused(text):
    with pytest.raises((ValueError, TypeError)):
        boxes_of([text])


def test_a_box_lies_in_the_input_where_the_crop_puts_it():
    # 100 x 200, cropped to its middle square, 50 .. 150, and halved twice: 100 pixels to 4.
    inside = inside_boxes([(75, 0, 125, 50)], (100, 200), (4, 4), Fit("center"))
    expected = np.zeros((4, 4), bool)
    expected[:2, 1:3] = True
    assert np.array_equal(inside, expected)
    assert not inside_boxes([(0, 0, 50, 100)], (100, 200), (4, 4), Fit("center")).any()
    with pytest.raises(ValueError, match="the box 75 0 50 50 ends before it begins; give x0 y0 x1 y1"):
        inside_boxes([(75, 0, 50, 50)], (100, 200), (4, 4), Fit("center"))
    both = inside_boxes([(50, 0, 75, 25), (125, 75, 150, 100)], (100, 200), (4, 4), Fit("center"))
    assert np.argwhere(both).tolist() == [[0, 0], [3, 3]]


# -- masks ---------------------------------------------------------------------------


def png(pixels) -> bytes:
    out = BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(out, "PNG")
    return out.getvalue()


def test_a_mask_and_the_same_box_agree_and_padding_is_outside():
    mask = np.zeros((40, 80))
    mask[10:30, 30:50] = 255
    for crop in (Fit("center"), Fit("none"), Fit("pad"), Fit(share=0.8, antialias=False)):
        found = inside_mask(png(mask), (40, 80), (16, 16), crop)
        assert np.array_equal(found, inside_boxes([(30, 10, 50, 30)], (40, 80), (16, 16), crop)), crop
    assert inside_mask(png(np.full((40, 80), 255)), (40, 80), (16, 16), Fit("pad")).mean() == 0.5


def test_a_mask_of_another_size_says_so():
    with pytest.raises(ValueError, match="the mask has 3 x 2 pixels, the image 5 x 4"):
        inside_mask(png(np.zeros((2, 3))), (4, 5), (4, 4), Fit("center"))


def test_a_mask_of_0_and_1_says_so():
    with pytest.raises(ValueError, match=r"nowhere white \(its largest value is 1\); write 255 inside"):
        inside_mask(png(np.ones((4, 5))), (4, 5), (4, 4), Fit("center"))


# -- the stage -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The logit of class 1 is the mean of the upper left quarter of the image."""
    import keras
    from keras import layers

    image = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255)(image)
    built = keras.Model(image, layers.Dense(2)(layers.Flatten()(x)))
    weights = np.zeros((SIZE, SIZE, 3, 2), "float32")
    weights[: SIZE // 2, : SIZE // 2, :, 1] = 12 / (SIZE // 2) ** 2
    built.layers[-1].set_weights([weights.reshape(-1, 2), np.float32([9, 0])])
    path = tmp_path_factory.mktemp("corner") / "corner.keras"
    built.save(path)
    return str(path)


@pytest.fixture
def inputs(tmp_path):
    """Six photographs in two parts, maps of 2 x 2: of even images right, of odd ones wrong; one is flagged."""
    rng = np.random.default_rng(0)
    images, maps = [], []
    for k in range(6):
        path = tmp_path / f"images/{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(200, 256, (SIZE, SIZE, 3)).astype(np.uint8)).save(path)
        box = {"meta.x0": 0.0, "meta.y0": 0.0, "meta.x1": 8.0, "meta.y1": 8.0 if k else None}
        box["meta.text"] = "[0, 0, 8, 8]" if k else None
        images.append({"image_id": f"{k:016x}", "uri": str(path), **box})
        values = [1.0, 0.0, 0.0, 0.0] if k % 2 == 0 else [0.0, 0.0, 0.0, 1.0]
        for target in (0, 1):
            about = {"target": target, "target_kinds": ["predicted"] if target else ["label"], "layer": "c"}
            row = {"image_id": f"{k:016x}", **about, "height": 2, "width": 2, "map": values, "score": 1.0}
            row |= Place.even((2, 2), (SIZE, SIZE)).row()
            maps.append({**row, "gap": None, "flag": "zero" if k == 5 else None})
    parts = [pa.Table.from_pylist(images[:4]), pa.Table.from_pylist(images[4:])]
    schema = tables.maps()
    of_maps = [pa.Table.from_pylist(rows, schema=schema) for rows in (maps[:8], maps[8:])]
    states = {("extract", ""): {"input_size": [SIZE, SIZE], "classes": ["no", "yes"]}}
    return MemoryInputs({"images": parts, "maps/grad_cam": of_maps}, states)


def params(model, **changes) -> Params:
    asked = {"model": {"path": model}, "images": {"path": "x"}, "maps": "maps/grad_cam", "method": "grad_cam"}
    asked |= {"deletion": True, "insertion": True, "steps": 4, "limit": None, "tolerance": 0, "batch": 4}
    return Params(**{**asked, **changes})


def rows(inputs, given, label="grad_cam"):
    found = inputs.run(STAGE, given, label)[f"faithfulness/{given.variant}"]
    assert found.schema == tables.faithfulness()
    return {(int(r["image_id"], 16), r["target"]): r for r in found.to_pylist()}


BOXES = ("x0", "y0", "x1", "y1")


def test_a_map_that_is_right_beats_random_and_one_that_is_wrong_does_not(inputs, model):
    found = rows(inputs, params(model, boxes=BOXES))
    random = rows(inputs, params(model, method=None, random="random_pixels"), "random_pixels")
    assert list(found) == list(random) == [(k, t) for k in range(6) for t in (0, 1)]
    for k in (0, 2, 4):
        assert found[k, 1]["deletion"] < random[k, 1]["deletion"] < found[1, 1]["deletion"]
        assert found[k, 1]["insertion"] == pytest.approx(random[k, 1]["insertion"], abs=0.2)
        # Two classes: what speaks for one speaks as much against the other.
        assert found[k, 0]["deletion"] == pytest.approx(1 - found[k, 1]["deletion"], abs=1e-5)
    assert [found[k, 1]["pointing"] for k in range(6)] == [None, 0, 1, 0, 1, None]
    # A cell enlarged keeps 7/8 on its own half, along each side.
    assert found[2, 1]["energy"] == 0.875**2 and found[3, 1]["energy"] == 0.125**2
    assert found[3, 1]["area"] == 0.25 and found[0, 1]["area"] is None
    assert found[5, 1]["flag"] == "zero" and found[5, 1]["deletion"] is None
    metrics = inputs.states["evaluate", "grad_cam"]["metrics"]
    assert metrics == {"images": 6, "without": 1, "maps": 12, "left out": {"zero": 2}}
    assert "evaluate: 2 of 12 maps of grad_cam say nothing and are left out (2 zero)" in inputs.notes
    # The random maps of these images are as good as others: what is flagged is the method's.
    assert random[5, 1]["flag"] is None and random[5, 1]["deletion"] is not None
    assert "left out" not in inputs.states["evaluate", "random_pixels"]["metrics"]


def test_what_is_filled_in_is_measured_of_maps_that_order_anything(inputs, model):
    quick = {"deletion": False, "insertion": False, "road": True}
    made = inputs.run(STAGE, params(model, **quick), "grad_cam")
    assert set(made) == {"faithfulness/grad_cam", "road/grad_cam"} and made["road/grad_cam"].schema == tables.road()
    found = {(int(r["image_id"], 16), r["target"], r["percent"]): r for r in made["road/grad_cam"].to_pylist()}
    assert list(found) == [(k, t, p) for k in range(5) for t in (0, 1) for p in (10, 20, 30, 40, 50, 70, 90)]
    random = inputs.run(STAGE, params(model, method=None, random="random", **quick), "random")["road/random"]
    assert len(random) == 6 * 2 * 7, "what a method's map is flagged for is no flaw of the random one"
    for (_, target, _), row in found.items():
        other = found[int(row["image_id"], 16), 1 - target, row["percent"]]
        assert row["morf"] == pytest.approx(1 - other["morf"], abs=1e-5)
        assert row["morf_first"] == (row["morf"] > 0.5) and row["lerf_first"] == (row["lerf"] > 0.5)
    # Nothing but the fewer columns of the table of figures changes with it.
    plain = inputs.run(STAGE, params(model, **quick | {"road": False}), "grad_cam")
    assert set(plain) == {"faithfulness/grad_cam"} and plain["faithfulness/grad_cam"] == made["faithfulness/grad_cam"]
    assert "road" not in params(model).model_dump() and params(model, road=True).model_dump()["road"] is True


def test_how_far_maps_are_spread_out_takes_no_pass(inputs, model):
    quick = {"deletion": False, "insertion": False, "complexity": True}
    made = inputs.run(STAGE, params(model, **quick), "grad_cam")
    assert set(made) == {"faithfulness/grad_cam", "complexity/grad_cam"}
    found = made["complexity/grad_cam"]
    assert found.schema == tables.complexity()
    rows = {(int(r["image_id"], 16), r["target"]): r for r in found.to_pylist()}
    assert list(rows) == [(k, t) for k in range(5) for t in (0, 1)], "the sixth is zero"
    most = np.log(SIZE * SIZE)
    assert all(0 < r["complexity"] < most and 0 < r["sparseness"] < 1 for r in rows.values())
    random = inputs.run(STAGE, params(model, method=None, random="random_pixels", **quick), "random_pixels")
    spread = random["complexity/random_pixels"].to_pylist()
    # Even values: entropy log 2 - 1/2 below the most there is, Gini index 1/3.
    assert np.mean([r["complexity"] for r in spread]) == pytest.approx(most - np.log(2) + 0.5, abs=0.02)
    assert np.mean([r["sparseness"] for r in spread]) == pytest.approx(1 / 3, abs=0.02)
    assert "complexity" not in params(model).model_dump()


def test_boxes_of_maps_are_measured(inputs, model):
    quick = {"deletion": False, "insertion": False, "boxes": BOXES}
    of = {"images": {"path": "x"}, "method": "grad_cam", "boxes": {}}
    inputs.run(boxes.STAGE, boxes.Params(**of), "grad_cam")
    iou = [r["iou"] for r in rows(inputs, params(model, **quick, share=0.2)).values()]
    # Enlarged, a cell falls from its middle to the other's, by 1 over 8 pixels: above .2 in 10 of 16 along each side.
    # 10 x 10 against 8 x 8 pixels, in the same corner; in opposite ones they share 2 x 2.
    right, wrong = 64 / 100, 4 / (100 + 64 - 4)
    assert iou[2:10] == pytest.approx([wrong, wrong, right, right, wrong, wrong, right, right])
    assert iou[:2] == iou[10:] == [None, None]  # no box is given; the map says nothing
    random = rows(inputs, params(model, **quick, share=0.2, method=None, random="random"), "random")
    assert all(0 < r["iou"] <= 1 for (k, _), r in random.items() if k)
    assert all(r["iou"] is None for r in rows(inputs, params(model, **quick)).values())


def test_a_text_of_boxes_says_the_same(inputs, model):
    quick = {"deletion": False, "insertion": False}
    four, text = (rows(inputs, params(model, boxes=b, **quick)) for b in (BOXES, ("meta.text",)))
    assert four == text and four[2, 0]["deletion"] is None and four[2, 0]["energy"] == 0.875**2


@pytest.mark.parametrize("written", ["lists", "texts"])
def test_boxes_of_a_source_come_as_lists_or_as_texts(inputs, model, tmp_path, written):
    ids = inputs.table("images")["image_id"].to_pylist()
    boxes = [[0, 0, 8, 8], None, [[0, 0, 8, 8], [8, 8, 16, 16]], [], [[4, 4, 9, 9]], [[1, 1, 2, 2.5]]]
    if written == "texts":
        column = pa.array([None if b is None else str(b) for b in boxes])
    else:
        fours = [b if b is None or not b or isinstance(b[0], list) else [b] for b in boxes]
        column = pa.array(fours, pa.list_(pa.list_(pa.float64())))
    pq.write_table(pa.table({"path": [f"images/{k}.png" for k in range(6)], "box": column}), tmp_path / "x.parquet")
    found = MemoryInputs().run(index.STAGE, index.Params(images={"path": str(tmp_path / "x.parquet")}))["images"]
    found = found.take([found["uri"].to_pylist().index(str(tmp_path / f"images/{k}.png")) for k in range(6)])
    found = found.set_column(found.column_names.index("image_id"), "image_id", pa.array(ids))
    inputs.tables["images"] = [found.slice(0, 4), found.slice(4)]
    given = params(model, boxes=("box",), deletion=False, insertion=False)
    STAGE.check[1](inputs, given)
    area = [rows(inputs, given)[k, 1]["area"] for k in range(5)]
    assert area == [64 / 256, None, 128 / 256, None, 25 / 256]
    assert inputs.states["evaluate", "grad_cam"]["metrics"]["without"] == 2


def test_the_figures_do_not_depend_on_batch_or_shard(inputs, model):
    found = rows(inputs, params(model, batch=4, steps=3))
    whole = {name: [pa.concat_tables(parts)] for name, parts in inputs.tables.items() if name[:4] in ("imag", "maps")}
    assert found == rows(MemoryInputs(whole, inputs.states), params(model, batch=4, steps=3))
    for key, row in rows(inputs, params(model, batch=3, steps=3)).items():
        for measure in ("deletion", "insertion"):
            assert row[measure] == (found[key][measure] and pytest.approx(found[key][measure], rel=1e-5))


def test_a_limit_takes_a_sample_that_the_rest_does_not_change(inputs, model):
    few = fit(inputs, params(model, limit=3))["chosen"]
    assert few == fit(inputs, params(model, limit=5))["chosen"][:3] and len(set(few)) == 3
    inputs.tables["maps/grad_cam"] = inputs.tables["maps/grad_cam"][:1]
    fewer = fit(inputs, params(model, limit=None))["chosen"]
    assert [i for i in fit(inputs, params(model, limit=None))["chosen"] if i in few] == [i for i in few if i in fewer]


def test_masks_of_another_size_are_flagged_and_missing_ones_counted(inputs, model, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[:8, :8] = 255
    Image.fromarray(mask).save(folder / "2.png")
    Image.fromarray(mask[:5]).save(folder / "3.png")
    Image.fromarray(mask * 0).save(folder / "4.png")
    given = params(model, masks=str(folder), masks_stamp="1", deletion=False, insertion=False)
    found = rows(inputs, given)
    assert found[2, 1]["pointing"] == 1 and found[2, 1]["flag"] is None
    assert found[3, 1]["flag"] == f"the mask has 16 x 5 pixels, the image 16 x {SIZE}"
    assert found[3, 1]["pointing"] is None and found[4, 1]["flag"].startswith("nothing of the box or mask")
    assert found[0, 1]["pointing"] is None and found[0, 1]["flag"] is None
    assert inputs.states["evaluate", "grad_cam"]["metrics"]["without"] == 3
    assert "3 of 6 images have no mask" in inputs.notes[-1] and len(inputs.warnings) == 2


def test_masks_that_fit_no_image_are_told(inputs, model, tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("x_mask.png", "2_mask.png"):
        Image.new("L", (SIZE, SIZE)).save(tmp_path / "masks" / name)
    given = params(model, masks=str(tmp_path / "masks"), masks_stamp="1")
    fit(inputs, given)
    assert inputs.warnings == ["evaluate.masks: 2 of 2 fit no image, e.g. 2_mask.png"]
    (tmp_path / "masks/2_mask.png").rename(tmp_path / "masks/2.png")
    inputs.warnings, inputs.notes = [], []
    fit(inputs, given)
    assert not inputs.warnings and "evaluate.masks: 1 of 2 fit no image, e.g. x_mask.png" in inputs.notes


def test_a_photograph_that_is_gone_is_flagged(inputs, model, tmp_path):
    (tmp_path / "images/1.png").unlink()
    found = rows(inputs, params(model, insertion=False))
    assert "no such file" in found[1, 0]["flag"] and found[1, 0]["deletion"] is None
    assert found[2, 0]["deletion"] is not None and "cannot be evaluated" in inputs.warnings[0]


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (("x0", "y0", "x1", "y2"), r"unknown column 'y2'; there are "),
        (("x0", "y0", "x1", "text"), "column text holds string, not numbers"),
        (("uri",), "unknown column 'uri'"),
    ],
)
def test_boxes_that_are_none_are_one_line(inputs, model, boxes, words):
    with pytest.raises(UserError, match=words) as said:
        STAGE.check[1](inputs, params(model, boxes=boxes))
    assert str(said.value).startswith("evaluate.boxes: ") and "\n" not in str(said.value)


def test_a_text_that_is_no_box_names_its_image(inputs, model):
    broken = inputs.tables["images"][1].to_pylist()
    broken[0]["meta.text"] = "upper left"
    inputs.tables["images"][1] = pa.Table.from_pylist(broken)
    with pytest.raises(UserError, match=r"text of .*4.png is upper left, not a box"):
        STAGE.check[1](inputs, params(model, boxes=("text",)))


@pytest.mark.slow
def test_more_steps_than_pixels_are_one_for_each(inputs, model):
    asked = params(model, steps=1000, insertion=False)
    found = rows(inputs, asked)
    exact = rows(inputs, params(model, steps=SIZE * SIZE, insertion=False))
    assert found == exact and inputs.states["evaluate", "grad_cam"]["metrics"].get("steps") is None
    fit(inputs, asked)
    assert f"evaluate.steps: {SIZE * SIZE} instead of 1000, one for each pixel of {SIZE} x {SIZE}" in inputs.notes


def flag_all(inputs, flag):
    for k, part in enumerate(inputs.tables["maps/grad_cam"]):
        flags = pa.array([flag] * len(part))
        inputs.tables["maps/grad_cam"][k] = part.set_column(part.column_names.index("flag"), "flag", flags)


def test_of_maps_that_all_say_nothing_none_is_scored(inputs, model):
    """Loudly, but where the run has said so when they were configured: maps of windows too large."""
    flag_all(inputs, "constant")
    found = rows(inputs, params(model, boxes=BOXES, steps=1))
    assert all(row[m] is None for row in found.values() for m in ("deletion", "insertion", "pointing", "energy"))
    said = "evaluate: 12 of 12 maps of grad_cam say nothing and are left out (12 constant)"
    assert inputs.warnings == [said]
    flag_all(inputs, "one position")
    fit(inputs, params(model))
    assert inputs.warnings == [said] and inputs.notes[-1] == said.replace("constant", "one position")


def test_each_method_is_set_against_a_random_map_of_its_kind():
    assert [baseline(m()) for m in (GradCam, Occlusion, Saliency)] == ["random", "random", "random_pixels"]
    integrated = [IntegratedGradients(), IntegratedGradients(layer="conv")]
    assert [baseline(m) for m in integrated] == ["random_pixels", "random"], "at a layer a map is as smooth as any"
