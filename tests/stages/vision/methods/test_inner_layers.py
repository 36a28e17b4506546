"""Gradient x input, integrated and expected gradients at a layer: on paper, complete, and loops as in the papers."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.model import Model
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import IMAGE, built, explained, images, opened
from tests.stages.vision.methods.quadratic import maps_of, photographs, ready

INNER = {
    "gradient_x_input": {},
    "integrated_gradients": {"steps": 5},
    "expected_gradients": {"samples": 5},
}


def squared() -> keras.Model:
    """Channels x and 9 - x in ``conv``; logit 0 is the sum of x^2 on top and (9 - x)^2 at the centre, logit 1 -x^2."""
    image = keras.Input((5, 5, 1))
    x = layers.Conv2D(2, 1, name="conv")(image)
    x = layers.Flatten()(layers.Multiply()([x, x]))
    model = keras.Model(image, layers.Dense(2, use_bias=False, name="dense")(x))
    model.get_layer("conv").set_weights([np.array([[[[1.0, -1.0]]]]), np.array([0.0, 9.0])])
    weights = np.zeros((5, 5, 2, 2))
    weights[0, :, 0, 0], weights[2, 2, 1, 0], weights[:, :, 0, 1] = 1, 1, -1
    model.get_layer("dense").set_weights([weights.reshape(50, 2)])
    return model


def test_a_five_by_five_is_as_on_paper(tmp_path):
    model, pixels = opened(squared(), tmp_path), np.roll(IMAGE, -1, 0)[None, ..., None]
    x = pixels[0, ..., 0].astype(float)
    # The trapezoid is exact: A^2 - A'^2, and black is A' = (0, 9). At the centre x is 4, and 5^2 - 9^2 is -56.
    found = maps_of(ready("integrated_gradients", model, steps=3, layer="conv"), pixels)
    first = np.zeros((5, 5))
    first[0], first[2, 2] = x[0] ** 2, -56
    np.testing.assert_allclose(found.values[0], [first, -(x**2)], atol=1e-4)
    np.testing.assert_allclose(found.gap, 0, atol=1e-3)
    # Gradient x input is twice the square.
    found = maps_of(ready("gradient_x_input", model, layer="conv"), pixels)
    first[2, 2] = 25
    np.testing.assert_allclose(found.values[0], [2 * first, -2 * x**2], atol=1e-4)


@pytest.mark.slow
def test_gradient_x_input_of_a_layer_is_hires_cam(tmp_path):
    model = small.opened("residual", tmp_path)
    pixels = images(model)
    one, other = (explained(built(n, model, layer="sum"), pixels, [0, 2]) for n in ("gradient_x_input", "hires_cam"))
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.slow
def test_behind_an_affine_layer_the_whole_map_adds_up_to_the_inputs(tmp_path):
    """The way is the same, point by point: only where it is told of is another."""
    model = small.opened("nested", tmp_path)
    pixels = photographs(model, 2)
    where = ({"layer": "backbone/conv_a"}, {})
    inner, outer = (maps_of(ready("integrated_gradients", model, steps=3, **w), pixels) for w in where)
    assert inner.values.shape[2:] == (8, 8) and outer.values.shape[2:] == (16, 16)
    np.testing.assert_allclose(inner.values.sum((2, 3)), outer.values.sum((2, 3)), rtol=1e-4)
    np.testing.assert_allclose(inner.gap, outer.gap, rtol=0, atol=1e-4 * np.abs(inner.scores).max())


def scores_of(model: Model, layer: str) -> Callable:
    return tf.function(lambda tensors: model.scores(model.head(layer)(tensors)), autograph=False)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "layer"), [("residual", "branch"), ("deep", "tap"), ("residual", "sum")])
def test_the_map_adds_up_to_what_the_layer_changes(name, layer, tmp_path):
    """A skip leads around ``branch``: what it carries stays as it is of the image, only the layer goes to black's."""
    model = small.opened(name, tmp_path)
    pixels = photographs(model, 2)
    own, *rest = model.trunk(layer)(model.to_input(pixels))
    black = model.trunk(layer)(model.to_input(np.zeros_like(pixels)))[0]
    score = scores_of(model, layer)
    change = (score([own, *rest]) - score([black, *rest])).numpy()[:, :2]
    gaps = []
    for steps in (2, 100):
        found = maps_of(ready("integrated_gradients", model, steps=steps, layer=layer), pixels)
        assert found.values.shape[2:] == tuple(own.shape[1:3])
        np.testing.assert_allclose(found.values.sum((2, 3)) - found.gap, change, atol=1e-4 * np.abs(change).max())
        gaps.append(np.abs(found.gap).max())
    assert gaps[1] < 0.2 * gaps[0] and gaps[1] < 0.01 * np.abs(change).max()


@pytest.mark.slow
def test_where_every_path_goes_through_the_layer_the_image_is_held_against_black(tmp_path):
    """Whatever the way, from black's activations or from black itself."""
    model = small.opened("residual", tmp_path)
    pixels = photographs(model, 2)
    inner = maps_of(ready("integrated_gradients", model, steps=300, layer="sum"), pixels)
    outer = maps_of(ready("integrated_gradients", model, steps=300), pixels)
    near = 0.02 * np.abs(outer.scores).max()
    np.testing.assert_allclose(inner.values.sum((2, 3)), outer.values.sum((2, 3)), rtol=0, atol=near)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["integrated_gradients", "expected_gradients"])
def test_maps_are_the_papers_sums(name, tmp_path):
    model, layer = small.opened("residual", tmp_path), "branch"
    pixels, background = photographs(model, 2), photographs(model, 3, seed=9)
    options = {"layer": layer, **INNER[name]}
    found = maps_of(ready(name, model, seed=2, background=background, **options), pixels).values
    score = scores_of(model, layer)

    @tf.function(autograph=False)
    def slope(point: tf.Tensor, rest: list, target: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(point)
            own = score([point, *rest])[0, target]
        return tape.gradient(own, point)

    def layer_of(image: np.ndarray) -> list:
        return model.trunk(layer)(model.to_input(image[None]))

    for row, photograph in enumerate(pixels):
        own, *rest = layer_of(photograph)
        if name == "integrated_gradients":
            black = layer_of(np.zeros_like(photograph))[0]
            ways = [(black, share, 0.5 if share in (0, 1) else 1) for share in np.arange(6) / 5]
        else:
            draws = generator(2, f"{row:016x}").random((5, 2))
            ways = [(layer_of(background[int(place * 3)])[0], share, 1) for share, place in draws]
        for target in (0, 1):
            total = 0.0
            for start, share, weight in ways:
                point = tf.cast((1 - share) * start + share * own, tf.float32)
                total += weight * (slope(point, rest, tf.constant(target)) * (own - start)).numpy()[0].sum(-1) / 5
            np.testing.assert_allclose(found[row, target], total, rtol=0, atol=2e-5 * np.abs(total).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", INNER)
def test_a_map_has_no_companions(name, tmp_path):
    model = small.opened("residual", tmp_path)
    pixels, background = photographs(model, 5), photographs(model, 3, seed=9)
    options = {"layer": "branch", "background": background} | INNER[name]
    one, other = (ready(name, model, batch, **options) for batch in (2, 4))
    whole = maps_of(one, pixels, batch=2)
    turned = maps_of(other, pixels, batch=4, rows=[3, 0, 4, 2, 1])
    within = 2e-6 * np.abs(whole.values).max()
    np.testing.assert_allclose(turned.values, whole.values[[3, 0, 4, 2, 1]], rtol=0, atol=within)
    assert np.abs(whole.values[:, 0] - whole.values[:, 1]).max() > 100 * within


@pytest.mark.parametrize("name", INNER)
def test_a_layer_that_is_not_there_is_one_line(name, tmp_path):
    with pytest.raises(UserError, match="layer bramch of model .*: there is none; did you mean branch"):
        ready(name, small.opened("residual", tmp_path), layer="bramch")


@pytest.mark.slow
@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("dtype", ["mixed_float16", "float64"])
def test_other_precisions(name, dtype, tmp_path):
    model, whole = (small.opened("nested", tmp_path, kind) for kind in (dtype, "float32"))
    pixels, background = photographs(whole, 2), photographs(whole, 2, seed=9)
    options = {"layer": "backbone/relu_a", "background": background} | INNER[name]
    found, expected = (maps_of(ready(name, m, **options), pixels).values for m in (model, whole))
    within = {"float64": 1e-5, "mixed_float16": 0.03}[dtype] * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=within)
