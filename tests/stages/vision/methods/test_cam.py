"""Grad-CAM and its kin: numbers written by hand, the papers' loops, and one answer whichever way it is computed."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution import affine
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods import cam as family
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.model import open_model
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import IMAGE, built, explained, images, on_paper, opened, placed, pooled

GRADIENT = ["grad_cam", "grad_cam_plus_plus", "layer_cam", "hires_cam", "xgrad_cam"]
LAYERS = [("linear", "relu"), ("flat", "conv"), ("deep", "mid"), ("residual", "branch"), ("sigmoid", "conv")]
"""Affine alike and by position; deep; inside a branch with a skip around it; one unit with a sigmoid."""

BY_HAND = {
    # Weights 2 / 25 of x and -1 / 25 of 9 - x: (3 x - 9) / 25.  And -1 / 25, 1 / 25: (9 - 2 x) / 25.
    "grad_cam": ({0: 0, 3: 0, 4: 0.12, 9: 0.72}, {0: 0.36, 3: 0.12, 4: 0.04, 9: 0}),
    # 2 x - (9 - x) and (9 - x) - x.
    "cam": ({0: -9, 3: 0, 4: 3, 9: 18}, {0: 9, 3: 3, 4: 1, 9: -9}),
    # Sums over positions: 37 of x, 188 of 9 - x. Weight of x: 25 x 0.08 / (2 + 0.08 x 37) = 2 / 4.96; of 9 - x:
    # 25 x 0.04 / (2 + 0.04 x 188) = 1 / 9.52.
    "grad_cam_plus_plus": (
        {0: 0, 3: 1.2096774, 4: 1.6129032, 9: 3.6290323},
        {0: 0.9453782, 3: 0.6302521, 4: 0.5252101, 9: 0},
    ),
    # One gradient for all positions: (3 x - 9) / 25 and (9 - 2 x) / 25, as Grad-CAM is before its ReLU.
    "hires_cam": ({0: -0.36, 3: 0, 4: 0.12, 9: 0.72}, {0: 0.36, 3: 0.12, 4: 0.04, 9: -0.36}),
    "xgrad_cam": ({0: -0.36, 3: 0, 4: 0.12, 9: 0.72}, {0: 0.36, 3: 0.12, 4: 0.04, 9: -0.36}),
    # Without x logit 0 is lower by 74 / 25, without 9 - x higher by 188 / 25: 10.48 x - 67.68, of which the ReLU leaves
    # the centre. Logit 1 without them: 37 / 25 higher, 188 / 25 lower: (1692 - 225 x) / 25.
    "ablation_cam": ({0: 0, 3: 0, 4: 0, 9: 26.64}, {0: 67.68, 3: 40.68, 4: 31.68, 9: 0}),
    # 0.08 x and 0.04 (9 - x).
    "layer_cam": ({0: 0, 3: 0.24, 4: 0.32, 9: 0.72}, {0: 0.36, 3: 0.24, 4: 0.2, 9: 0}),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_pooled_five_by_five_is_as_on_paper(name, tmp_path):
    maps = explained(built(name, opened(pooled(), tmp_path)), IMAGE[None, ..., None], [0, 1])
    for found, values in zip(maps.values[0], BY_HAND[name], strict=True):
        np.testing.assert_allclose(found, on_paper(values.get), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(maps.scores, [[3 * 37 / 25 - 9, 9 - 2 * 37 / 25]], rtol=1e-5)


def test_a_five_by_five_with_weights_for_each_position_is_as_on_paper(tmp_path):
    model, pixels = opened(placed(), tmp_path), IMAGE[None, ..., None]
    # Mean weights 5 / 25 of x and -1 / 25 of 9 - x: 0.24 x - 0.36. And 1 / 25 of x.
    first, second = explained(built("grad_cam", model), pixels, [0, 1]).values[0]
    np.testing.assert_allclose(first, on_paper({0: 0, 3: 0.36, 4: 0.6, 9: 1.8}.get), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(second, on_paper({0: 0, 3: 0.12, 4: 0.16, 9: 0.36}.get), rtol=1e-5)
    # The top row of x is 0 and the centre of 9 - x as well; 25 x 9 at the centre.
    first, second = explained(built("cam", model), pixels, [0, 1]).values[0]
    assert not first.any()
    expected = np.zeros((5, 5))
    expected[2, 2] = 225
    np.testing.assert_allclose(second, expected, rtol=1e-6)


def slow_grad_cam(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    height, width, channels = activation.shape
    out = np.zeros((height, width))
    for k in range(channels):
        weight = sum(gradient[i, j, k] for i in range(height) for j in range(width)) / (height * width)
        out += weight * activation[:, :, k]
    return np.maximum(out, 0)


def slow_grad_cam_plus_plus(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    height, width, channels = activation.shape
    out = np.zeros((height, width))
    for k in range(channels):
        total, weight = activation[:, :, k].sum(), 0.0
        for g in gradient[:, :, k].ravel():
            alpha = g**2 / (2 * g**2 + g**3 * total) if g != 0 else 0
            weight += alpha * max(g, 0)
        out += weight * activation[:, :, k]
    return np.maximum(out, 0)


def slow_layer_cam(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    out = np.zeros(activation.shape[:2])
    for i, j, k in np.ndindex(activation.shape):
        out[i, j] += max(gradient[i, j, k], 0) * activation[i, j, k]
    return np.maximum(out, 0)


def slow_hires_cam(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    out = np.zeros(activation.shape[:2])
    for i, j, k in np.ndindex(activation.shape):
        out[i, j] += gradient[i, j, k] * activation[i, j, k]
    return out


def slow_xgrad_cam(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    height, width, channels = activation.shape
    out = np.zeros((height, width))
    for k in range(channels):
        total, weight = activation[:, :, k].sum(), 0.0
        for i, j in np.ndindex(height, width):
            weight += activation[i, j, k] / total * gradient[i, j, k] if total != 0 else 0
        out += weight * activation[:, :, k]
    return out


SLOW = {
    "grad_cam": slow_grad_cam,
    "grad_cam_plus_plus": slow_grad_cam_plus_plus,
    "layer_cam": slow_layer_cam,
    "hires_cam": slow_hires_cam,
    "xgrad_cam": slow_xgrad_cam,
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Activations and gradients (n, H, W, C) of class 0 of a model's images, by one plain tape; float64."""
    found = {}

    def of(name: str, layer: str) -> tuple:
        if (name, layer) not in found:
            model = small.opened(name, tmp_path_factory.mktemp(name))
            pixels = images(model)

            @tf.function(autograph=False)
            def both(x: tf.Tensor) -> tuple:
                activation, *rest = model.trunk(layer)(model.to_input(x))
                with tf.GradientTape() as tape:
                    tape.watch(activation)
                    score = model.scores(model.head(layer)([activation, *rest]))[:, 0]
                return activation, tape.gradient(score, activation)

            found[name, layer] = (model, pixels, *(x.numpy().astype(float) for x in both(tf.constant(pixels))))
        return found[name, layer]

    return of


@pytest.mark.parametrize(
    ("name", "model", "layer"),
    [("grad_cam", *where) for where in LAYERS]
    + [(n, *where) for n in GRADIENT[1:3] for where in (LAYERS[0], LAYERS[3])]
    + [pytest.param(n, *LAYERS[3], marks=pytest.mark.slow) for n in GRADIENT[3:]],
)
def test_maps_are_those_of_the_papers_loops(name, model, layer, kept):
    model, pixels, activation, gradient = kept(model, layer)
    maps = explained(built(name, model, targets=1, layer=layer), pixels, [0]).values[:, 0]
    expected = np.stack([SLOW[name](a, g) for a, g in zip(activation, gradient, strict=True)])
    assert expected.any(), "this would be equal whatever is computed"
    np.testing.assert_allclose(maps, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize(
    ("name", "model"),
    [
        *(("grad_cam", "flat"), ("grad_cam_plus_plus", "linear"), ("layer_cam", "flat"), ("cam", "linear")),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("hires_cam", "flat"), ("xgrad_cam", "linear"))),
    ],
)
def test_jacobian_and_tape_agree(name, model, tmp_path):
    model = small.opened(model, tmp_path)
    pixels, targets = images(model), [[0, 1], [1, 2], [2, 0], [0, 2]]
    quick, plain = built(name, model), built(name, model, configured={"affine": False})
    assert quick.rows and not plain.rows
    quick, plain = explained(quick, pixels, targets), explained(plain, pixels, targets)
    np.testing.assert_allclose(quick.values, plain.values, rtol=1e-4, atol=1e-6 * np.abs(plain.values).max())
    np.testing.assert_allclose(quick.scores, plain.scores, rtol=1e-6)


def test_a_jacobian_too_large_to_keep_is_not_needed(tmp_path, monkeypatch):
    model = small.opened("flat", tmp_path)
    pixels = images(model)
    quick = explained(built("cam", model), pixels, [0, 1])
    monkeypatch.setattr(affine, "LARGEST", 0)
    plain = built("cam", model)
    assert not plain.rows
    np.testing.assert_allclose(explained(plain, pixels, [0, 1]).values, quick.values, rtol=1e-4, atol=1e-4)


def test_cam_is_grad_cam_up_to_the_number_of_positions(tmp_path):
    model = small.opened("linear", tmp_path)
    pixels = images(model)
    cam, grad_cam = (explained(built(name, model), pixels, [0, 2]).values for name in ("cam", "grad_cam"))
    assert cam.min() < 0 < cam.max()
    np.testing.assert_allclose(np.maximum(cam, 0), 64 * grad_cam, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["linear", "flat", "convolutional"])
def test_the_mean_of_a_class_activation_map_and_the_bias_are_the_logit(name, tmp_path):
    model = small.opened(name, tmp_path)
    maps = explained(built("cam", model), images(model), [0, 1])
    layer = model.layers()[-1].name
    shapes = [model.shapes[model.slot(layer)]]
    bias = model.head(layer)([tf.zeros(shape) for shape in shapes])[:1, :2]
    np.testing.assert_allclose(maps.values.mean((2, 3)) + bias, maps.scores, rtol=1e-5, atol=1e-5)


def test_a_head_that_is_not_linear_has_no_class_activation_map(tmp_path):
    model = small.opened("deep", tmp_path)
    with pytest.raises(UserError, match="between layer pool and the logits .* is not linear.*use grad_cam"):
        built("cam", model)


@pytest.mark.parametrize("dtype", quick.first(["mixed_float16", "mixed_bfloat16"]))
def test_half_precision_models_have_linear_heads_too(dtype, tmp_path):
    half = small.opened("nested", tmp_path, dtype)
    whole = small.opened("nested", tmp_path)
    pixels = images(half)
    explain = built("cam", half)
    assert explain.rows
    found, expected = explained(explain, pixels, [0, 2]), explained(built("cam", whole), pixels, [0, 2])
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, expected.values, rtol=0, atol=0.03 * np.abs(expected.values).max())


def test_half_precision_does_not_make_a_deep_head_linear(tmp_path):
    model = small.opened("deep", tmp_path, "mixed_float16")
    for layer in ("tap", "mid"):
        configured = METHODS["grad_cam"].configure(model, GradCam(layer=layer), lambda count: None)
        assert not configured["affine"]


@pytest.mark.parametrize("model", ["linear", "deep"])
def test_a_map_has_no_companions(model, tmp_path):
    model = small.opened(model, tmp_path)
    pixels, targets = images(model, 5), np.array([[0, 1], [1, 2], [2, 0], [0, 2], [1, 0]])
    explain = built("grad_cam", model, batch=2)
    whole = explained(explain, pixels, targets, 2)
    other = explained(built("grad_cam", model, batch=5), pixels[::-1], targets[::-1], 5)
    np.testing.assert_array_equal(other.scores[::-1], whole.scores)
    # A matrix product of another number of rows may round the last digit of a gradient otherwise.
    last_digit = 0 if explain.rows else 5e-7 * whole.values.max()
    np.testing.assert_allclose(other.values[::-1], whole.values, rtol=0, atol=last_digit)


def test_a_denominator_of_plus_plus_is_kept_from_zero():
    activation = np.full((1, 1, 2, 2, 3), -0.5, np.float32)  # sums of -2: 2 + g sum(A) is 0 at g = 1, near it, below
    gradient = np.broadcast_to(np.float32([1, 1 + 1e-7, 2]), (1, 1, 2, 2, 3))
    weights = family._plus_plus_weights(tf.constant(activation), tf.constant(gradient))[0, 0, 0, 0].numpy()
    np.testing.assert_allclose(weights, [4e6, -4e6, -4], rtol=1e-5)
    alike = family._plus_plus_weights(tf.constant(activation), tf.constant(gradient[:, :, :1, :1]))[0, 0, 0, 0]
    np.testing.assert_allclose(weights, alike, rtol=1e-6)
    assert not family._plus_plus_weights(tf.constant(activation), tf.zeros((1, 1, 2, 2, 3))).numpy().any()


def test_a_class_that_does_not_look_at_the_layer_has_a_map_of_zeros(tmp_path):
    image = keras.Input((16, 16, 3))
    early = layers.Conv2D(4, 3, strides=2, activation="relu", name="early")(image)
    late = layers.Conv2D(4, 3, activation="relu", name="late")(early)
    own, other = (layers.Dense(1, kernel_initializer="ones")(layers.GlobalMaxPooling2D()(x)) for x in (late, early))
    model = opened(keras.Model(image, layers.Concatenate()([own, other])), tmp_path)
    maps = explained(built("layer_cam", model, layer="late"), images(model), [0, 1])
    assert np.isfinite(maps.values).all() and maps.values[:, 0].any() and not maps.values[:, 1].any()


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (lambda x: ops.one_hot(ops.argmax(x, -1), 8), r"argmax\w* \(Argmax\)"),
        (ops.round, r"round\w* \(Round\)"),
        (ops.stop_gradient, r"stop_gradient\w* \(StopGradient\)"),
    ],
)
def test_what_has_no_gradient_is_named(operation, named, tmp_path):
    image = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(8, 3, strides=2, name="conv")(image))
    x = layers.Dense(8, name="before")(x)
    model = opened(keras.Model(image, layers.Dense(3, name="after")(operation(x))), tmp_path)
    with pytest.raises(UserError, match=rf"no gradient of the logits reaches layer conv, because {named} has none"):
        built("grad_cam", model)


@pytest.mark.slow
def test_mobilenet_is_explained_at_its_last_convolution(shared):
    model = open_model(
        ModelSpec(
            path=str(shared / "models" / "mobilenet_075_224_imagenet.keras"),
            classes=str(shared / "models" / "imagenet_classes.txt"),
            range=(-1, 1),
        )
    )
    pixels, targets = images(model, 2), [[3, 700], [9, 30]]
    quick, plain = built("grad_cam", model), built("grad_cam", model, configured={"affine": False})
    assert quick.rows and quick.size == (7, 7)
    quick, plain = explained(quick, pixels, targets), explained(plain, pixels, targets)
    np.testing.assert_allclose(quick.values, plain.values, rtol=1e-4, atol=1e-5 * plain.values.max())
    cam = explained(built("cam", model), pixels, targets)
    np.testing.assert_allclose(np.maximum(cam.values, 0), 49 * quick.values, rtol=1e-4, atol=1e-5 * cam.values.max())
