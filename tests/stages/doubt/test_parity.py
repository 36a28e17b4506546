"""Outputs held against given ones: what sets them apart is planted, and found."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import activation_atlas as aa
from activation_atlas.stages.doubt.parity.agreement import agreement, in_form, off_in_order, order_between
from activation_atlas.stages.doubt.parity.given import read
from tests.bench import command, one_line
from tests.stages.doubt import colours

EACH, COUNT = 3, 3 * len(colours.NAMES)


def test_differences_and_ranks_by_hand():
    given = np.array([[0.0, 1.0, 2.0], [4.0, 3.0, 0.0]])  # means 2 2 1: each is off by 2 1 1
    found = given + [[0, 0, 1], [0, 1.5, 0]]
    held = agreement(found, given)
    assert (held.largest, held.median, held.image, held.same_top, held.n) == (1.5, 0, 1, 1, 2)
    assert held.off == pytest.approx((3.25 / 6) ** 0.5 / 2**0.5) and held.farthest == pytest.approx(1.5 / 2**0.5)
    assert held.rank == pytest.approx((1 + 0.5) / 2) and not held.near  # ranks 3 2 1 and 2 3 1
    assert agreement(given, given).equal and agreement(given, given, measured=True).same_top is None
    # Fewer than three outputs are ranked over the images.
    assert agreement(np.array([[1.0], [2.0], [9.0]]), np.array([[3.0], [4.0], [5.0]])).rank == pytest.approx(1)


def test_forms_are_those_of_the_kind():
    z = np.array([[0.0, 1.0, 700.0], [-800.0, 0.5, 0.5]])
    whole = np.exp(z - z.max(1, keepdims=True)) / np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)
    np.testing.assert_allclose(in_form(z, "softmax", "probabilities"), whole, atol=1e-12)
    np.testing.assert_allclose(in_form(z, "softmax", "log probabilities")[1], [-800.5 - np.log(2), *[-np.log(2)] * 2])
    np.testing.assert_allclose(in_form(z, "sigmoid", "probabilities")[0], [0.5, 1 / (1 + np.exp(-1)), 1])
    assert in_form(z, "quantity", "probabilities") is z


def test_an_order_is_found_and_none_in_noise():
    rng = np.random.default_rng(0)
    found, order = rng.normal(size=(20, 7)), rng.permutation(7)
    assert order_between(found, found[:, order]).tolist() == order.tolist()
    assert off_in_order(found, found[:, order]) == 0
    assert off_in_order(found, rng.normal(size=(20, 7))) > 1.2


def test_outputs_are_read_however_they_lie(tmp_path):
    values, names = np.arange(6.0).reshape(3, 2) / 8, ["a.png", "b.png", "c.png"]
    rows = [f"{n},{x},{y},cat" for n, (x, y) in zip(names, values, strict=True)]
    texts = {
        "named.csv": "\n".join(["path,no,yes,label", *rows]),
        "bare.csv": "\n".join(f"{x},{y}" for x, y in values),
        "numbered.csv": "\n".join(["0,1", *(f"{x},{y}" for x, y in values)]),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "deep.npy", values.reshape(3, 1, 1, 2).astype(np.float32))
    pq.write_table(pa.table({"image_id": names, "logits": values.tolist()}), tmp_path / "lists.parquet")
    for name in (*texts, "deep.npy", "lists.parquet"):
        given = read(tmp_path / name)
        np.testing.assert_array_equal(given.values, values, err_msg=name)
        assert given.names == (names if name in ("named.csv", "lists.parquet") else None)


def test_outputs_that_cannot_be_are_one_line(tmp_path):
    np.save(tmp_path / "nan.npy", [[0.0, 1.0], [np.nan, 1.0]])
    (tmp_path / "words.csv").write_text("path,answer\na.png,cat\n")
    (tmp_path / "broken.npy").write_bytes(b"hello")
    pq.write_table(pa.table({"outputs": [[1.0], [1.0, 2.0]]}), tmp_path / "ragged.parquet")
    for name, said in {
        "nan.npy": "1 of 2 rows hold NaN or infinite values, the first of them row 2",
        "words.csv": "has no column of numbers or of lists of them; there are path, answer",
        "broken.npy": "cannot be read",
        "ragged.parquet": "not of one length",
        "none.npy": "does not exist",
        "model.pt": "give .npy, .csv or .parquet",
    }.items():
        with pytest.raises(aa.UserError, match=said) as raised:
            read(tmp_path / name)
        assert str(raised.value).startswith("outputs: ") and "\n" not in str(raised.value)


# -- with a model --------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pictures, and a model of colours in [0, 1] that ends in a softmax."""
    folder = tmp_path_factory.mktemp("parity")
    colours.write_images(folder / "images", EACH)
    (folder / "wide").mkdir()
    rng = np.random.default_rng(0)
    for k in range(COUNT):  # three squares of a colour each
        squares = colours.COLOURS[rng.integers(len(colours.NAMES), size=3)] + rng.normal(0, 6, (8, 8, 3, 3))
        pixels = np.clip(squares.transpose(0, 2, 1, 3).reshape(8, 24, 3), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "wide" / f"{k:02}.png")
    colours.write_model(folder / "model.keras", rescaled=False)
    return folder


def logits(folder, flip=False, squares=slice(None)):
    """What the model says of the pictures as they are meant, written out: 40 (2 p.x - p.p), x the mean colour."""
    points, found = colours.COLOURS / 255, []
    for path in sorted(folder.rglob("*.png")):
        x = np.asarray(Image.open(path), np.float64)[:, squares].mean((0, 1)) / 255
        found.append(40 * (2 * points @ (x[::-1] if flip else x) - (points**2).sum(1)))
    return np.array(found)


def softmax(z):
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


SHUFFLED = np.random.default_rng(5).permutation(len(colours.NAMES))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["range", "order", "form", "both", "three", "rows", "cut", "noise"])
def test_what_is_planted_is_found(case, made):
    model, images = {"path": str(made / "model.keras"), "range": (0, 1), "classes": colours.NAMES}, made / "images"
    outputs, kinds, said = softmax(logits(images)), [case], ""
    if case == "range":
        model, kinds, said = {**model, "range": None}, ["values"], "give model.range: [0, 1]"
    elif case == "order":
        outputs, kinds = outputs[:, SHUFFLED], ["classes"]
    elif case == "form":
        outputs, said = logits(images) + 7, "the outputs are logits, and model model.keras returns probabilities"
    elif case == "both":
        model, outputs = {**model, "range": (-1, 1)}, softmax(logits(images, flip=True))
        kinds, said = ["values"], "give model.range: [0, 1] and model.channels: bgr"
    elif case == "three":
        model, outputs = {**model, "range": None}, logits(images, flip=True)[:, ::-1]
        kinds, said = ["values", "form", "classes"], "as if the classes were in reversed order"
    elif case == "rows":
        outputs, kinds = outputs[np.random.default_rng(1).permutation(COUNT)], ["images"]
    elif case == "cut":
        images = made / "wide"
        outputs, said = softmax(logits(images)), "give images.crop: none"
    elif case == "noise":
        outputs, kinds = softmax(np.random.default_rng(2).normal(0, 9, outputs.shape)), []
    np.save(made / "given.npy", outputs)
    compared = aa.parity(model, images, made / "given.npy")
    lines = compared.lines()
    assert [cause.kind for cause in compared.causes] == kinds and not compared.agrees, lines
    assert any(said in line for line in lines) and all("\n" not in line for line in lines)
    assert compared.off is None if case == "noise" else compared.off < 0.02
    if case == "order":
        place = SHUFFLED.tolist().index(0)
        assert SHUFFLED[0] != 0 and f"number 0 is the model's {SHUFFLED[0]}," in lines[2]
        assert f"[{colours.NAMES[place]}, " in lines[2]


@pytest.mark.slow
def test_the_command_says_whether_they_agree(made):
    outputs = softmax(logits(made / "images"))
    np.save(made / "given.npy", outputs.astype(np.float32))
    words = ["parity", "--model", made / "model.keras", "--images", made / "images"]
    status, said, _ = command(*words, "--outputs", made / "given.npy", "--range", 0, 1)
    assert status == 0 and said.startswith("36 images: equal: largest difference ") and said.count("\n") == 1
    assert "36 of 36 have the same first class; rank correlation 1.000" in said
    status, said, _ = command(*words, "--outputs", made / "given.npy")
    assert status == 2 and "they do not agree" in said and "give model.range: [0, 1]" in said
    # Rows that name their images may come in any order, and of some images alone.
    paths = sorted(path.relative_to(made / "images").as_posix() for path in (made / "images").rglob("*.png"))
    rows = [f"{paths[k]}," + ",".join(map(str, outputs[k])) for k in (20, 3, 7, 11, 30)]
    head = ",".join(["path", *colours.NAMES])
    (made / "some.csv").write_text("\n".join([head, *rows, "other/9.png" + ",0" * 12]))
    status, said, _ = command(*words, "--outputs", made / "some.csv", "--range", 0, 1)
    assert status == 0 and said.startswith("5 images: equal")
    assert "some.csv names no image, e.g." in said and "'other/9.png'" in said
    np.save(made / "few.npy", outputs[:5])
    one_line(command(*words, "--outputs", made / "few.npy"), "has 5 rows and ")
    np.save(made / "alike.npy", np.zeros_like(outputs))
    one_line(command(*words, "--outputs", made / "alike.npy"), "the same numbers in all 36 rows, which")
    np.save(made / "narrow.npy", outputs[:, :5])
    one_line(command(*words, "--outputs", made / "narrow.npy"), "has 5 numbers for an image, and model model.keras ret")
    (made / "lost.csv").write_text("\n".join([head, "other/9.png" + ",0" * 12]))
    one_line(command(*words, "--outputs", made / "lost.csv"), "none of the 1 rows of ")
    (made / "zero.csv").write_text("\n".join([head, paths[0] + ",0" * 12]))
    one_line(command(*words, "--outputs", made / "zero.csv"), "holds nothing but 0, which tells no network")
