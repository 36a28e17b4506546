"""A batch norm taken into its convolution changes nothing but the number of steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import freeze, open_model
from activation_atlas.stages.vision.model.folding import Folding, Padded, folded, moments
from activation_atlas.stages.vision.model.program import flatten
from tests.stages.vision import small_models as small

CONVOLUTIONS = {
    "plain": lambda: layers.Conv2D(6, 3, padding="same"),
    "without bias": lambda: layers.Conv2D(6, 3, use_bias=False),
    "strides": lambda: layers.Conv2D(6, (3, 2), strides=(2, 1), padding="same"),
    "dilated": lambda: layers.Conv2D(6, 3, dilation_rate=2),
    "groups": lambda: layers.Conv2D(6, 3, groups=2),
    "depthwise": lambda: layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False),
    "depthwise, several each": lambda: layers.DepthwiseConv2D(3, depth_multiplier=3),
}
NORMS = {
    "whole": {},
    "without scale": {"scale": False},
    "without centre": {"center": False},
    "neither": {"scale": False, "center": False, "epsilon": 0.1},
}


def drawn(layer: keras.Layer, seed: int) -> None:
    """Weights unlike those a new layer has: none is 0 or 1, variances stay positive."""
    rng = np.random.default_rng(seed)
    layer.set_weights(
        [rng.uniform(0.2, 1.5, weight.shape) * (-1 if k == 0 else 1) for k, weight in enumerate(layer.weights)]
    )


def opened(build, folder, dtype="float32"):
    def seeded():
        model = build()
        for k, layer in enumerate(model.layers):
            if layer.weights:
                drawn(layer, k)
        return model

    built = small.build(seeded, dtype)
    return built, open_model(ModelSpec(path=small.save(built, folder)))


def kinds(model, *slots):
    return [step.kind for step in model.simplify(model.program.before([model.program.output]), slots)]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("convolution", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_layer_does_what_two_did(convolution, norm, dtype, tmp_path):
    def build():
        image = keras.Input((16, 16, 4), dtype=dtype)
        x = layers.BatchNormalization(**NORMS[norm])(CONVOLUTIONS[convolution]()(image))
        return keras.Model(image, x)

    built = small.build(build, dtype)
    convolved, normed = built.layers[1:]
    for k, layer in enumerate((convolved, normed)):
        drawn(layer, k)
    x = np.random.default_rng(0).normal(size=(2, 16, 16, 4)).astype(dtype)
    expected = built(x).numpy()
    found = folded(convolved, normed)(x).numpy()
    close = {"float32": 2e-6, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(found, expected, rtol=0, atol=close * np.abs(expected).max())


def test_a_case_by_hand():
    """kernel 3, bias 1; gamma 2, beta 5, mean 4, variance 15 + epsilon 1: 2 (3 x + 1 - 4) / 4 + 5 = 1.5 x + 3.5."""
    convolution, norm = layers.Conv2D(1, 1), layers.BatchNormalization(epsilon=1.0)
    norm(convolution(np.zeros((1, 2, 2, 1))))
    convolution.set_weights([np.full((1, 1, 1, 1), 3.0), np.ones(1)])
    norm.set_weights([np.array([v]) for v in (2.0, 5.0, 4.0, 15.0)])
    assert [float(row[0]) for row in moments(norm)] == [2, 5, 4, 15]
    found = folded(convolution, norm)
    assert float(found.kernel[0, 0, 0, 0]) == 1.5 and float(found.bias[0]) == 3.5
    assert not found.trainable_weights, "no tape watches it"


@pytest.mark.parametrize("variance", [0.0, -1.0, 1e-44])
def test_what_is_infinite_or_nan_is_so_in_both(variance):
    convolution, norm = layers.Conv2D(2, 1), layers.BatchNormalization(epsilon=0.0)
    x = np.ones((1, 2, 2, 1), "float32")
    norm(convolution(x))
    norm.set_weights([np.array(v) for v in ([1e30, 2], [0, 0], [0.5, 0.5], [variance, 1])])
    found, expected = folded(convolution, norm)(x).numpy(), norm(convolution(x)).numpy()
    assert not np.isfinite(found[..., 0]).any() and not np.isfinite(expected[..., 0]).any()
    np.testing.assert_allclose(found[..., 1], expected[..., 1], rtol=2e-6)


def separable(norm=None, between=None, **convolution):
    image = small._image()
    x = layers.Conv2D(4, 3, padding="same", name="conv", **convolution)(image)
    x = between(x) if between else x
    x = (norm or layers.BatchNormalization)(name="norm")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU(name="relu")(x))
    return keras.Model(image, layers.Dense(3)(x))


def test_what_is_asked_for_is_kept(tmp_path):
    built, model = opened(separable, tmp_path)
    frozen = freeze(lambda x: model.forward()(x)[1], tf.TensorSpec((2, small.SIZE, small.SIZE, 3)))
    assert "BatchNormalization" not in kinds(model)
    assert kinds(model, model.slot("conv")).count("BatchNormalization") == 1
    x = tf.constant(small.pixels(), tf.float32)
    maps, logits = model.forward(["conv", "norm", "relu"])(x)
    for name, found in maps.items():
        expected = keras.Model(built.inputs, built.get_layer(name).output)(x).numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
        np.testing.assert_allclose(model.tap(name)(x), expected, rtol=0, atol=2e-6 * np.abs(expected).max())
        again = model.head(name)(model.trunk(name)(x))
        np.testing.assert_allclose(again, logits, rtol=0, atol=2e-6 * np.abs(logits).max())
    for found in (logits, frozen(x)):
        np.testing.assert_allclose(found, built(x), rtol=0, atol=2e-6 * np.abs(logits).max())


class Own(layers.BatchNormalization):
    """A norm with a call of its own."""

    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training=training)


@pytest.mark.parametrize(
    "options",
    [
        {"activation": "relu"},
        {"between": layers.Dropout(0.1)},
        {"norm": lambda name: layers.BatchNormalization(axis=1, name=name)},
        {"norm": lambda name: layers.LayerNormalization(name=name)},
        {"norm": lambda name: Own(name=name)},
    ],
    ids=["activation", "something between", "rows", "another norm", "own call"],
)
def test_what_is_no_such_pair_stays(options):
    program = flatten(separable(**options), "test")
    steps = program.before([program.output])
    assert Folding(program)(steps, []) == steps


@pytest.mark.parametrize("size", [(16, 16), (15, 18), (9, 14)])
@pytest.mark.parametrize(
    ("given", "convolution"),
    [
        (((0, 1), (0, 1)), {"kernel_size": 3, "strides": 2}),
        (((1, 1), (1, 1)), {"kernel_size": 3}),
        (((2, 2), (2, 2)), {"kernel_size": 3, "dilation_rate": 2}),
        (((3, 3), (3, 3)), {"kernel_size": 7, "strides": 2}),
        (((1, 2), (0, 1)), {"kernel_size": (4, 2), "strides": 1}),
        (((5, 0), (0, 0)), {"kernel_size": 3}),
    ],
)
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D])
def test_paddings_go_where_same_means_them(kind, given, convolution, size):
    padding, options = layers.ZeroPadding2D(given), ({"filters": 5} if kind is layers.Conv2D else {})
    layer = kind(**options, **convolution)
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    layer(padding(x))
    drawn(layer, 0)
    expected = layer(padding(x)).numpy()
    both = Padded(padding, layer)
    np.testing.assert_allclose(both(tf.constant(x)), expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    output = both.same(x).numpy()
    assert both.is_same(x.shape) == (
        output.shape == expected.shape and np.allclose(output, expected, atol=1e-5 * np.abs(expected).max())
    )


def test_paddings_as_they_are_in_a_program(tmp_path):
    """The first goes and takes the norm along; the second is not what "same" means, the third is asked for."""

    def build():
        x = image = small._image()
        x = layers.Conv2D(4, 3, strides=2, use_bias=False)(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(4, 3)(layers.ZeroPadding2D(2)(x))
        x = layers.ZeroPadding2D(1, name="asked")(x)
        x = layers.DepthwiseConv2D(3)(x)
        return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

    built, model = opened(build, tmp_path)
    steps = model.program.before([model.program.output])
    whole = ["Padded", "ReLU", "Padded", "Padded", "GlobalAveragePooling2D", "Dense"]
    assert [step.kind for step in model.simplify(steps, [])] == whole
    asked = model.simplify(steps, [model.slot("asked")])
    assert [step.kind for step in asked[3:5]] == ["ZeroPadding2D", "DepthwiseConv2D"]
    x = tf.constant(small.pixels(), tf.float32)
    np.testing.assert_allclose(model.forward()(x)[1], built(x), rtol=5e-6)


def test_the_weights_of_a_padded_convolution_are_held_once():
    """And nothing but the padding is another: an activation that no config can hold least of all."""
    padding, layer = layers.ZeroPadding2D(1), layers.Conv2D(4, 3, activation=lambda x: 2 * x, kernel_regularizer="l2")
    x = tf.random.stateless_normal((1, 6, 6, 2), (0, 1))
    layer(padding(x))
    drawn(layer, 0)
    both = Padded(padding, layer)
    assert [id(w) for w in both.same.weights] == [id(w) for w in layer.weights]
    assert both.is_same(x.shape) and layer.padding == "valid" and len(layer.trainable_weights) == 2
    np.testing.assert_allclose(both(x), layer(padding(x)), rtol=0, atol=1e-5)


def test_layers_called_by_keyword(tmp_path):
    def build():
        image = small._image()
        x = layers.Conv2D(4, 3)(inputs=layers.ZeroPadding2D(1)(inputs=image))
        x = layers.BatchNormalization()(inputs=x)
        return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

    built, model = opened(build, tmp_path)
    assert kinds(model)[0] == "Padded"
    x = small.pixels().astype("float32")
    np.testing.assert_allclose(model.forward()(tf.constant(x))[1], built(x), rtol=5e-6)


def test_a_padding_that_rounds_stays(tmp_path):
    def build():
        image = small._image()
        x = layers.Conv2D(4, 3)(layers.ZeroPadding2D(1, dtype="float16")(image))
        return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

    built, model = opened(build, tmp_path)
    assert kinds(model)[:2] == ["ZeroPadding2D", "Conv2D"]
    x = small.pixels().astype("float32")
    np.testing.assert_allclose(model.forward()(tf.constant(x))[1], built(x), rtol=2e-6)


def test_precisions_that_go_by_a_layers_name_stay_with_it(tmp_path):
    """A layer of another name would compute in the default."""
    policies = keras.dtype_policies.DTypePolicyMap(default_policy="mixed_float16")
    policies["conv"] = keras.dtype_policies.DTypePolicy("float32")
    built, model = opened(lambda: separable(dtype=policies), tmp_path)
    assert kinds(model)[:2] == ["Conv2D", "BatchNormalization"]
    x = small.pixels().astype("float32")
    np.testing.assert_allclose(model.forward()(tf.constant(x))[1], built(x), rtol=2e-6)


def test_what_a_quicker_thread_made_is_taken():
    program = flatten(separable(), "test")
    folding, (first, second) = Folding(program), program.steps[:2]
    quicker = []

    def join(*pair):
        if not quicker:
            quicker.append(None)
            quicker.append(folding._one(first, second, join))
        return object()

    assert folding._one(first, second, join) is quicker[1]


def test_a_convolution_that_others_read_stays(tmp_path):
    def build():
        image = small._image()
        x = layers.Conv2D(4, 3, padding="same")(image)
        x = layers.Add()([x, layers.BatchNormalization()(x)])
        return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

    built, model = opened(build, tmp_path)
    assert kinds(model).count("BatchNormalization") == 1
    x = small.pixels().astype("float32")
    np.testing.assert_allclose(model.forward()(tf.constant(x))[1], built(x), rtol=2e-6)


def test_a_layer_called_twice_is_folded_into_each_norm(tmp_path):
    def build():
        image, shared = small._image(), layers.Conv2D(3, 3, padding="same")
        x = layers.BatchNormalization()(shared(image))
        x = layers.BatchNormalization()(shared(layers.ReLU()(x)))
        return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))

    built, model = opened(build, tmp_path)
    assert "BatchNormalization" not in kinds(model) and kinds(model).count("Conv2D") == 2
    x = small.pixels().astype("float32")
    np.testing.assert_allclose(model.forward()(tf.constant(x))[1], built(x), rtol=5e-6)


@pytest.mark.slow
def test_the_real_network_keeps_its_answers(shared):
    path = str(shared / "models" / "mobilenet_075_224_imagenet.keras")
    model, built = open_model(ModelSpec(path=path)), keras.models.load_model(path, compile=False)
    assert "BatchNormalization" not in kinds(model)
    x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (4, 224, 224, 3)), tf.float32)
    found, expected = model.probabilities(model.forward()(x)[1]), built(x)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
