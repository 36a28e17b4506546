"""The command `patch` on a small run, from beginning to end."""

import numpy as np
import pytest
from typer.testing import CliRunner

import activation_atlas as aa
from activation_atlas.pipeline.cli import app
from activation_atlas.stages.stage import UserError
from tests.leaning import written

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of images of three colours, of which two in three blue ones have a red corner."""
    place = tmp_path_factory.mktemp("patched")
    aa.run(written(place, 24, audit=None), out=place / "run", until="grid", quiet=True)
    return place / "run"


def test_what_is_red_in_blue_images_makes_dull_ones_red(folder, tmp_path):
    made, again = (aa.patch(folder, "dull", "red", images=10, batch=16) for _ in range(2))
    assert made.lines() == again.lines() and 5 <= made.images <= 10
    top, left, bottom, right = made.patch.rect
    np.testing.assert_array_equal(made.patch.pixels, made.source[top:bottom, left:right])
    assert made.source[8:, :8, 0].mean() == 230 and top + bottom > 16 > left + right  # of a blue image, the red quarter
    assert made.rates["patch"].static[0] == 1 and made.place.side >= 0.3
    assert made.rates["random"].static[0] < 1
    assert all(e.was < 0.5 < e.now and e.turned for e in made.examples)
    out = tmp_path / "figures" / "patch.pdf"
    asked = [
        "patch",
        str(folder),
        "--from",
        "dull",
        "--to",
        "red",
        "--images",
        "10",
        "--batch",
        "16",
        "--out",
        str(out),
    ]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0 and "\n".join(made.lines()) in done.output
    assert out.read_bytes()[:4] == b"%PDF"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--from", "bleu", "--to", "red"], "--from: unknown class 'bleu'"),
        (["--from", "red", "--to", "red"], "give two classes"),
        (["--from", "any", "--to", "red", "--atlas", "none"], "no atlas 'none' that shows all activations"),
        (["--from", "any", "--to", "red", "--grid", "3"], "--grid: atlas 'all' has no grid 3, but 2, 4"),
        (["--from", "any", "--to", "red", "--out", "x.gif"], "give a .png or .pdf file"),
    ],
)
def test_what_a_user_gets_wrong_is_one_line(folder, options, told):
    error = CliRunner().invoke(app, ["patch", str(folder), *options]).exception
    assert isinstance(error, UserError) and told in str(error)
