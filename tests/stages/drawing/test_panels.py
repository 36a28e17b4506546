"""Panels: everything asked for is on the sheet, nothing runs over its edge."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from activation_atlas.stages.drawing.numbers import short
from activation_atlas.stages.drawing.panels import ACROSS, SIDE, Column, Group, panel, shown_size
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.drawing.surface import Style

LONG = "a class whose name somebody made up of very many words, one after another, until no line could hold it"


def group(upright: tuple[int, int], rows: int, columns: int, name: str = "one.png") -> Group:
    photo = np.full((*upright, 3), 120, np.uint8)
    red = np.broadcast_to(np.array([200, 0, 0], np.uint8), photo.shape)
    made = [
        Column(f"method {c} {LONG}", LONG, 0.0123, Style(bool(c % 2)), [red] * rows, ["zero everywhere"] * rows)
        for c in range(columns)
    ]
    return Group(photo, name, ["99.9 %  " + LONG, "label: cat"], [(LONG, f"predicted · {LONG}")] * rows, made)


@pytest.mark.parametrize(
    ("upright", "rows", "columns"),
    [((420, 420), 1, 1), ((90, 400), 2, 3), ((400, 60), 1, 2), ((7, 9), 2, 1), ((60, 60), 1, 9)],
)
def test_no_lettering_leaves_the_sheet(upright, rows, columns):
    sheet = panel([group(upright, rows, columns), group((50, 40), rows, columns)], LONG, LONG, [LONG, LONG])
    sheet.pixels()
    boxes = [sheet.box(text) for text in sheet.axes.texts]
    assert min(b[0] for b in boxes) >= 0 and max(b[2] for b in boxes) <= sheet.width
    assert min(b[1] for b in boxes) >= 0 and max(b[3] for b in boxes) <= sheet.height


def test_every_picture_and_number_is_there():
    sheet = panel([group((100, 200), 2, 3)], "title", "subtitle", ["words"])
    assert len(sheet.axes.images) == 1 + 2 * 3 + 3  # the photograph, the pictures, the bars
    texts = [t.get_text() for t in sheet.axes.texts]
    assert texts.count("0.012") == 2 and texts.count("+0.012") == texts.count("−0.012") == 1
    assert texts.count("zero everywhere") == 6 and "label: cat" in texts


def test_the_head_of_one_map_is_whole():
    """What does not fit beside the class's name stands below it; the line under the title takes the lines it needs."""
    subtitle = "What speaks for a class. a_model_of_some_name.keras sees the central crop, 224 × 224"
    name, detail = "black-and-tan coonhound", "predicted · 66.1 % · logit 12.38"
    one = replace(group((420, 340), 1, 1), rows=[(name, detail)])
    sheet = panel([one], "title", subtitle, ["words"])
    texts = {t.get_text(): sheet.box(t) for t in sheet.axes.texts}
    assert subtitle in " ".join(texts) and texts[name][3] <= texts[detail][1] + 6
    short = panel([replace(one, rows=[("cat", "predicted")])], "title", "subtitle", ["words"])
    assert sheet.height - short.height == 26 + round(1.35 * 22)


def test_many_methods_go_below_one_another():
    wide = panel([group((60, 60), 1, ACROSS)], "title", "subtitle", ["words"])
    many = panel([group((60, 60), 1, 2 * ACROSS)], "title", "subtitle", ["words"])
    assert many.width == wide.width and many.height > wide.height + 60
    assert len(many.axes.images) == 2 * len(wide.axes.images)  # the photograph stands before each row of methods
    headings = [t for t in many.axes.texts if t.get_text().startswith("method")]
    assert len(headings) == 2 * ACROSS and len({t.get_position() for t in headings}) == 2 * ACROSS
    nine = panel([group((60, 60), 1, ACROSS + 1)], "title", "subtitle", ["words"])
    assert nine.width < wide.width  # five and four, not eight and one
    pairs = panel([group((60, 60), 1, 5)], "title", "subtitle", [], 2)
    assert pairs.width < nine.width and len(pairs.axes.images) == 3 + 2 * 5  # a photograph for each two methods


@pytest.mark.parametrize("top", [3.1, 0.081, 0.0083, 2.2e-05])
def test_numbers_of_a_scale_keep_apart(top):
    one = group((50, 40), 1, 1)
    column = replace(one.columns[0], top=top, style=Style(signed=True))
    sheet = panel([replace(one, columns=[column])], "title", "subtitle", ["words"])
    said = ["0", *(short(s * top, True) for s in (-1, -0.5, 0.5, 1))]
    boxes = sorted(sheet.box(t) for t in sheet.axes.texts if t.get_text() in said)
    assert len(boxes) in (3, 5)
    assert all(left[2] + 3 < right[0] for left, right in pairwise(boxes))


def test_a_panel_is_the_same_twice_and_a_pdf():
    first, second = (panel([group((30, 20), 1, 1)], "title", "subtitle", ["words"]) for _ in range(2))
    assert first.png() == second.png() and first.png()[:4] == b"\x89PNG"
    assert first.vector("pdf")[:5] == b"%PDF-"


def test_sizes_on_the_panel():
    assert shown_size((32, 32)) == (13, (416, 416))
    assert shown_size((256, 341)) == (1, (256, 341))
    factor, (height, width) = shown_size((3000, 4000))
    assert factor == 1 and (height, width) == (315, SIDE)
    assert shown_size((1, 5000)) == (1, (1, SIDE))


def test_of_a_long_path_the_end_is_kept():
    sheet, path = Sheet(400, 100), "backbone/encoder_of_a_long_name/layers_7/mlp"
    whole = f"Filters of {path}"
    room = sheet.span(whole, 20)
    assert sheet.fitted(whole, 20, room) == whole
    assert sheet.fitted(whole, 20, room - 1) == "Filters of …/encoder_of_a_long_name/layers_7/mlp"
    assert sheet.fitted(whole, 20, sheet.span("Filters of …/layers_7/mlp", 20)) == "Filters of …/layers_7/mlp"
    assert sheet.fitted("a/b/of_a_long_name", 20, sheet.span("…/of_a_long…", 20)) == "…/of_a_long…"
    assert sheet.fitted("cat/dog of all", 20, sheet.span("cat/do…", 20)) == "cat/do…"
