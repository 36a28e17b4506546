"""FullGrad: numbers written by hand, complete whatever the layers, and the paper's sum over explicit biases."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import full_grad as method
from activation_atlas.stages.vision.model import open_model
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import IMAGE, built, images, on_paper, opened, pooled
from tests.stages.vision.methods.quadratic import maps_of


def test_a_five_by_five_is_as_on_paper(tmp_path):
    found = maps_of(built("full_grad", opened(pooled(), tmp_path)), IMAGE[None, ..., None])
    # Input: x (2 + 1) / 25, and at the centre, where 9 - x is shut, 2 x / 25: 9, 12 and 18 of 18. Bias: -9 / 25 of
    # 9 - x, but at the centre. Logit 1: -2 x / 25, -x / 25 at the centre: 6, 8 and 9 of 9; the bias 9 / 25.
    np.testing.assert_allclose(found.values[0, 0], on_paper({0: 1, 3: 1.5, 4: 1 + 12 / 18, 9: 1}.get), rtol=1e-5)
    np.testing.assert_allclose(found.values[0, 1], on_paper({0: 1, 3: 1 + 6 / 9, 4: 1 + 8 / 9, 9: 1}.get), rtol=1e-5)
    np.testing.assert_allclose(found.gap, 0, atol=1e-5)


def plain() -> keras.Model:
    """Biases of every kind: a batch norm's, a convolution's with its ReLU inside, a Dense's; no bias in front of the
    norm."""
    x = image = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="first")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(5, 3, padding="same", name="second")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(image, layers.Dense(3, name="dense")(x))


@pytest.mark.slow
def test_it_is_the_papers_sum(tmp_path):
    built_as = small.build(plain)
    model = open_model(ModelSpec(path=small.save(built_as, tmp_path), output="logits"))
    pixels = images(model, 2)
    found = maps_of(built("full_grad", model), pixels)
    norm, second = built_as.get_layer("norm"), built_as.get_layer("second")
    gamma, beta, mean, variance = (w.numpy() for w in norm.weights)
    shifts = [beta - gamma * mean / np.sqrt(variance + norm.epsilon), second.bias.numpy()]
    taps = keras.Model(built_as.inputs, [norm.output, second.output])
    rest = [keras.Model(at, built_as.output) for at in (norm.output, second.output)]

    def psi(values: np.ndarray) -> np.ndarray:
        size = np.abs(values)
        size = (size - size.min()) / (size.max() - size.min())
        return tf.image.resize(size, (12, 12)).numpy()[0].sum(-1)

    for row, photograph in enumerate(pixels.astype(np.float32)):
        x = tf.constant(photograph[None])
        for target in (0, 1):
            with tf.GradientTape() as tape:
                tape.watch(x)
                score = built_as(x, training=False)[0, target]
            part = (tape.gradient(score, x) * x).numpy()
            expected, total = psi(part), part.sum() + built_as.get_layer("dense").bias.numpy()[target]
            for value, head, shift in zip(taps(x, training=False), rest, shifts, strict=True):
                with tf.GradientTape() as tape:
                    tape.watch(value)
                    own = head(value, training=False)[0, target]
                part = tape.gradient(own, value).numpy() * shift
                expected, total = expected + psi(part), total + part.sum()
            np.testing.assert_allclose(total, score, rtol=1e-3)
            np.testing.assert_allclose(found.values[row, target], expected, rtol=0, atol=1e-4 * expected.max())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["deep", "residual", "nested", "sigmoid", "convolutional"])
def test_input_and_biases_add_up_to_the_logit(name, tmp_path):
    """Also where functions are smooth, gates multiply and branches meet."""
    model = small.opened(name, tmp_path)
    found = maps_of(built("full_grad", model), images(model))
    np.testing.assert_allclose(found.gap, 0, atol=2e-4 * max(1, np.abs(found.scores).max()))
    assert found.values.any()


def test_biases_that_do_not_add_up_are_refused(tmp_path, monkeypatch):
    model = opened(pooled(), tmp_path)
    monkeypatch.setattr(method, "biases_of", lambda step, values: {})
    with pytest.raises(UserError, match="full_grad: the gradients of input and biases of model .* do not add up"):
        built("full_grad", model)
