"""Panels: everything asked for is on the sheet, nothing runs over its edge."""

import numpy as np
import pytest

from stages.report.panels import SIDE, Column, Group, panel, shown_size

LONG = "a class whose name somebody made up of very many words, one after another, until no line could hold it"


def group(upright: tuple[int, int], rows: int, columns: int, name: str = "one.png") -> Group:
    photo = np.full((*upright, 3), 120, np.uint8)
    red = np.broadcast_to(np.array([200, 0, 0], np.uint8), photo.shape)
    made = [
        Column(f"method {c} {LONG}", LONG, 0.0123, bool(c % 2), 0.55, [red] * rows, ["zero everywhere"] * rows)
        for c in range(columns)
    ]
    return Group(photo, name, ["99.9 %  " + LONG, "label: cat"], [(LONG, f"predicted · {LONG}")] * rows, made)


@pytest.mark.parametrize(
    ("upright", "rows", "columns"), [((420, 420), 1, 1), ((90, 400), 2, 3), ((400, 60), 1, 2), ((7, 9), 2, 1)]
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
