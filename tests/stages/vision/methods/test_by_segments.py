"""LIME, Kernel SHAP and occlusion by segments: numbers written by hand, and what is refused."""

import numpy as np
import pytest

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import METHODS
from tests.quick import first
from tests.stages.vision.methods.five import IMAGE, built, explained, opened, pooled

QUARTERS = {"superpixels": "grid", "segments": 4, "fill": 0}
NAMES = {"occlusion_segments": {}, "kernel_shap": {"samples": 14}, "lime": {"samples": 60, "ridge": 0}}


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    return opened(pooled(), tmp_path_factory.mktemp("five"))


@pytest.mark.parametrize("name", first(NAMES))
def test_of_a_sum_of_pixels_a_segment_is_worth_its_pixels(name, five):
    # 3 mean(x) - 9 and 9 - 2 mean(x); the quarters of x, cut behind the third row and column, sum to 20, 7, 7 and 3.
    maps = explained(built(name, five, **QUARTERS, **NAMES[name]), IMAGE[None, ..., None], [0, 1])
    sums = np.array([[20, 7], [7, 3]]).repeat([3, 2], 0).repeat([3, 2], 1)
    np.testing.assert_allclose(maps.values[0], [sums * 3 / 25, sums * -2 / 25], atol=1e-5)


@pytest.mark.slow
def test_what_hides_is_of_the_segment_or_given(five):
    image = IMAGE[None, ..., None]
    (flat,) = explained(built("occlusion_segments", five, **{**QUARTERS, "fill": "mean"}), image, [0]).values[0]
    np.testing.assert_allclose(flat, 0, atol=1e-5)  # the sum of the pixels is the same
    (lit,) = explained(built("occlusion_segments", five, **{**QUARTERS, "fill": 9}), image, [0]).values[0]
    assert lit[0, 0] == pytest.approx((20 - 9 * 9) * 3 / 25, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("kernel_shap", {"segments": 9, "samples": 17}, "samples: 17 for up to 9 segments; give at least 18"),
        ("lime", {"segments": 9, "samples": 9}, "samples: 9 for up to 9 segments; give at least 18"),
        ("lime", {"segments": 26}, "segments: 26 of an image of 5 x 5 pixels; give at most 25"),
        ("lime", {"fill": (1, 2, 3)}, "fill: .* one channel; give one number"),
    ],
)
def test_what_cannot_be_is_refused(name, options, words, five):
    with pytest.raises(UserError, match=f"{name}.{words}"):
        built(name, five, **options)


def test_one_segment_is_no_segment():
    with pytest.raises(ValueError, match="segments"):
        METHODS["lime"].options(segments=1)
