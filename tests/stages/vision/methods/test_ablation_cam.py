"""Ablation-CAM: numbers on paper, the paper's loop, no pass that is not needed, and what never changes."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods.ablation_cam import combined
from activation_atlas.stages.vision.model import Model, open_model
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import IMAGE, built, explained, images, opened, placed
from tests.stages.vision.methods.test_score_cam import Counted


@pytest.mark.parametrize("affine", [True, False])
def test_a_five_by_five_with_weights_for_each_position_is_as_on_paper(affine, tmp_path):
    moved = np.roll(IMAGE, -1, 0)
    explain = built("ablation_cam", opened(placed(), tmp_path), configured={"affine": affine})
    maps = explained(explain, moved[None, ..., None], [0, 1])
    # Logit 0 is 10 - 5: without x -5, without 9 - x 10. Logit 1 is 4: without x 0, without 9 - x still 4.
    x = moved.astype(float)
    np.testing.assert_allclose(maps.values[0], [np.maximum(10 * x - 5 * (9 - x), 0), 4 * x], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(maps.scores, [[5, 4]], rtol=1e-6)


def slow(model: Model, layer: str, pixels: np.ndarray, target: int) -> np.ndarray:
    """The paper's loop over channels for one image, but for the division by the score."""
    score = lambda tensors: float(model.scores(model.head(layer)(tensors))[0, target])  # noqa: E731
    activation, *rest = model.trunk(layer)(model.to_input(pixels[None]))
    out = np.zeros(activation.shape[1:3])
    for k in range(activation.shape[-1]):
        without = activation.numpy()
        without[..., k] = 0
        drop = score([activation, *rest]) - score([tf.constant(without), *rest])
        out += drop * activation[0, ..., k].numpy().astype(float)
    return np.maximum(out, 0)


@pytest.mark.parametrize(
    ("name", "layer"), quick.first([("residual", "branch"), ("deep", "mid"), ("flat", "conv"), ("sigmoid", "conv")])
)
def test_maps_are_those_of_the_papers_loop(name, layer, tmp_path):
    """Also with a skip around the layer, whose tensors stay as they are."""
    model = small.opened(name, tmp_path)
    pixels = images(model, 2)
    maps = explained(built("ablation_cam", model, layer=layer), pixels, [0, 1]).values
    expected = np.array([[slow(model, layer, image, target) for target in (0, 1)] for image in pixels])
    assert expected.any(), "this would be equal whatever is computed"
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * expected.max())


def test_only_channels_that_are_active_need_a_pass(tmp_path):
    """Two of relu's 8 channels shut, in batches of 4; each image has one pass that takes nothing away."""
    model = small.build(small.linear)
    kernel, bias = model.get_layer("conv").get_weights()
    kernel[..., :2], bias[:2] = 0, -1
    model.get_layer("conv").set_weights([kernel, bias])
    model = open_model(ModelSpec(path=small.save(model, tmp_path)))
    pixels = images(model, 3)
    explain = built("ablation_cam", model, 4, configured={"affine": False}, layer="relu")
    explain.ablate = Counted(explain.ablate)
    found = explained(explain, pixels, [0, 1], 4)
    active = np.count_nonzero(model.tap("relu")(model.to_input(pixels)).numpy().any((1, 2)))
    assert 0 < active <= 18 and explain.ablate.calls == -(-(3 + active) // 4)
    quick_way = explained(built("ablation_cam", model, 4, layer="relu"), pixels, [0, 1], 4)
    np.testing.assert_allclose(found.values, quick_way.values, rtol=0, atol=2e-5 * found.values.max())
    np.testing.assert_allclose(found.scores, quick_way.scores, rtol=1e-5)


@pytest.mark.slow
def test_a_map_has_no_companions(tmp_path):
    model = small.opened("residual", tmp_path)
    pixels, targets = images(model, 5), np.array([[0, 1], [1, 2], [2, 0], [0, 2], [1, 0]])
    whole = explained(built("ablation_cam", model, batch=2, layer="sum"), pixels, targets, 2)
    other = explained(built("ablation_cam", model, batch=7, layer="sum"), pixels[::-1], targets[::-1], 7)
    np.testing.assert_allclose(other.values[::-1], whole.values, rtol=0, atol=1e-6 * whole.values.max())


def test_of_scores_that_overflow_the_map_is_not_a_number():
    activation = np.ones((2, 2, 2), np.float32)
    assert np.isnan(combined(activation, np.array([[np.inf], [-np.inf]]))).all()
