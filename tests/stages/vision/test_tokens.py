"""Sequences of tokens as maps: found, proved, laid out, and the same logits behind them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.default_layer import default_layer
from tests.stages.vision import transformers
from tests.stages.vision.transformers import noise, opened

FORMS = {
    "plain": transformers.functional,
    "mean": lambda: transformers.functional(token=False),
    "closed": lambda: transformers.functional(closed=True),
    "example": transformers.example,
    "windows": transformers.windows,
    "shifted": lambda: transformers.windows(1),
    "unfolded": transformers.unfolded,
}
AT = {
    "plain": ("told_0",),
    "mean": ("block_0",),
    "closed": ("block_0/attention",),
    "example": ("cut", "encoded", "normed"),
    "windows": ("attention",),
    "shifted": ("windows", "joined"),
    "unfolded": ("told", "folded"),
}


def _map(model: keras.Model, tensor: keras.KerasTensor, beside: int) -> np.ndarray:
    """A layer's tokens as Keras gives them, folded row after row."""
    tokens = keras.Model(model.input, tensor).predict(noise(), verbose=0)[:, beside:]
    side = int(np.sqrt(tokens.shape[1]))
    return tokens.reshape(len(tokens), side, side, -1)


def test_a_layer_of_tokens_is_a_map_with_a_class_token_beside(tmp_path):
    keras_model = transformers.functional(blocks=1)
    model = opened(keras_model, tmp_path)
    info = model.placed("told_0")
    assert (info.height, info.width, info.channels, info.beside, info.kind) == (4, 4, 8, 1, "Add")
    assert (info.stride, info.offset, info.covers) == ((4, 4), (1.5, 1.5), (0, 0, 16, 16))
    assert info.receptive_field == (16, 16) and model.layer("tokens").receptive_field == (4, 4)
    maps, logits = model.forward(["told_0", "tokens"])(tf.constant(noise()))
    for name, beside in (("told_0", 1), ("tokens", 0)):
        np.testing.assert_allclose(maps[name], _map(keras_model, keras_model.get_layer(name).output, beside), atol=1e-5)
    np.testing.assert_allclose(model.probabilities(logits), keras_model.predict(noise(), verbose=0), atol=1e-6)
    tensors = model.trunk("told_0")(tf.constant(noise()))
    assert [x.shape for x in tensors] == [(2, 4, 4, 8), (2, 1, 8)]  # the map, and what comes along: the class token
    np.testing.assert_allclose(model.head("told_0")(tensors), logits, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_all_that_is_laid_out_goes_on_to_the_same_logits(form, tmp_path):
    """A map's every position comes back to where it was: the head of each layer gives the model's own logits."""
    keras_model = FORMS[form]()
    model = opened(keras_model, tmp_path)
    pixels = tf.constant(noise())
    logits = model.forward()(pixels)[1]
    expected = keras_model.predict(noise(), verbose=0)
    found = logits if model.ending.reading == "scores" else model.probabilities(logits)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    for name in AT[form]:
        found = model.head(name)(model.trunk(name)(pixels))
        np.testing.assert_allclose(found, logits, atol=1e-5, err_msg=name)
        model.placed(name)
    beside = {"plain": 1, "closed": 1}.get(form, 0)
    assert {info.beside for info in model.layers()} == {0, beside}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["windows", "shifted", "unfolded"])
def test_positions_are_found_wherever_a_window_has_put_them(form, tmp_path):
    """Without attention the tokens are those of a map that is normalised as it lies."""
    keras_model = FORMS[form]()
    model = opened(keras_model, tmp_path)
    name, begun = {"unfolded": ("unfolded", "conv")}.get(form, ("windows", "patches"))
    layer = keras_model.get_layer(name)
    before = keras.Model(keras_model.input, keras_model.get_layer(begun).output).predict(noise(), verbose=0)
    maps, _ = model.forward([name])(tf.constant(noise()))
    np.testing.assert_allclose(maps[name], layer(before), atol=1e-5)
    assert model.layer(name).stride == model.layer(begun).stride
    behind = {"unfolded": "folded"}.get(form, "joined")
    assert model.seen[model.slot(behind)].known and model.seen[model.slot(behind)].mixed


@pytest.mark.slow
def test_blocks_inside_a_layer_are_opened(tmp_path):
    keras_model = transformers.functional(closed=True)
    model = opened(keras_model, tmp_path)
    names = [info.name for info in model.layers()]
    inside = [name.removeprefix("block_0/") for name in names if name.startswith("block_0/")]
    assert inside == ["norms_0", "attention", "add", "norms_1", "mlp/dense", "mlp/dense_1", "mlp", "add_1"]
    maps, logits = model.forward(["block_0", "block_0/add_1"])(tf.constant(noise()))
    expected = _map(keras_model, keras_model.get_layer("block_0").output, 1)
    np.testing.assert_allclose(maps["block_0"], expected, atol=1e-5)
    np.testing.assert_array_equal(maps["block_0"], maps["block_0/add_1"])


@keras.saving.register_keras_serializable("tests")
class Closed(layers.Layer):
    """Tokens of patches, in a way that symbolic tensors cannot follow."""

    def __init__(self, mode: str = "", **kwargs):
        super().__init__(**kwargs)
        self.mode = mode
        self.project = layers.Dense(8)

    def build(self, shape):
        self.project.build((None, 16, 48))

    def call(self, x):
        x = tf.reshape(tf.image.extract_patches(x, [1, 4, 4, 1], [1, 4, 4, 1], [1] * 4, "VALID"), (-1, 16, 48))
        order = np.arange(16)
        order = {"turned": order.reshape(4, 4).T.reshape(-1), "shifted": np.roll(order, 6)}.get(self.mode, order)
        return tf.gather(self.project(x), order, axis=1)

    def compute_output_shape(self, shape):
        return (shape[0], 16, 8)

    def get_config(self):
        return super().get_config() | {"mode": self.mode}


def _closed(mode: str) -> keras.Model:
    image = keras.Input((16, 16, 3))
    x = Closed(mode, name="embedding")(image)
    x = layers.Add(name="told")([x, layers.MultiHeadAttention(2, 4)(x, x)])
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))


@pytest.mark.slow
def test_a_grid_that_nobody_can_follow_is_proved_by_numbers(tmp_path):
    model = opened(_closed(""), tmp_path)
    for name in ("embedding", "told"):
        assert not model.seen[model.slot(name)].known
        assert model.placed(name).covers == (0, 0, 16, 16)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["turned", "shifted"])
def test_tokens_in_another_order_are_refused_by_numbers(mode, tmp_path):
    model = opened(_closed(mode), tmp_path)
    for name in ("embedding", "told"):
        with pytest.raises(UserError, match="cannot be traced back to the image"):
            model.placed(name)


@keras.saving.register_keras_serializable("tests")
class Forgetful(layers.Layer):
    """Gives something else on symbolic tensors than on real ones."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(8)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x) if isinstance(x, keras.KerasTensor) else 2 * self.inner(x)


@pytest.mark.slow
def test_what_is_opened_gives_the_same_or_stays_closed(tmp_path):
    image = keras.Input((16, 16, 3))
    x = Forgetful(name="forgetful")(layers.Conv2D(4, 4, strides=4)(image))
    keras_model = keras.Model(image, layers.Dense(3)(ops.mean(x, (1, 2))))
    model = opened(keras_model, tmp_path)
    assert "forgetful" in model.program.names and "forgetful/inner" not in model.program.names
    found = model.forward()(tf.constant(noise()))[1]
    np.testing.assert_allclose(found, keras_model.predict(noise(), verbose=0), rtol=1e-5)


@pytest.mark.slow
def test_positions_that_are_not_found_can_be_told(tmp_path):
    """A map of 2 x 12 positions, which no square patches of the image give."""
    image = keras.Input((16, 16, 3))
    x = Odd(name="odd")(image)
    keras_model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    said = r"of its 25 tokens \(25 x 3\) none are known .* \[rows, columns\] \(--tokens\), perhaps \[5, 5\]$"
    with pytest.raises(UserError, match=said):
        opened(keras_model, tmp_path).layer("odd")
    with pytest.raises(
        UserError, match=r"no layer has positions; say which of its 25 tokens .* \[5, 5\]; or choose a method"
    ):
        default_layer(opened(keras_model, tmp_path))
    model = opened(keras_model, tmp_path, tokens=[2, 12])
    info = model.layer("odd")
    assert (info.height, info.width, info.beside, info.covers) == (2, 12, 1, (0, 0, 16, 16))
    behind = opened(keras_model, tmp_path, tokens=[2, 12, 0])
    maps, _ = behind.forward(["odd"])(tf.constant(noise()))
    expected = keras.Model(image, x).predict(noise(), verbose=0)[:, :24].reshape(2, 2, 12, 3)
    np.testing.assert_allclose(maps["odd"], expected, rtol=1e-5)
    with pytest.raises(UserError, match=r"no layer has 3 x 12 = 36 tokens of positions: its sequences have 25 tokens"):
        opened(keras_model, tmp_path, tokens=[3, 12])


@keras.saving.register_keras_serializable("tests")
class Normed(layers.Layer):
    """Tokens by the length that all of them have together, which one that is turned round leaves as it is."""

    def call(self, x):
        return x / ops.sqrt(ops.sum(x * x, (1, 2), keepdims=True))


@pytest.mark.slow
def test_what_reads_the_length_of_all_tokens_sees_the_whole_image(tmp_path):
    image = keras.Input((16, 16, 3))
    x = Normed(name="normed")(layers.Reshape((-1, 8))(layers.Conv2D(8, 4, strides=4, name="cut")(image)))
    model = opened(keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(x))), tmp_path)
    assert model.layer("normed").receptive_field == (16, 16) and model.layer("cut").receptive_field == (4, 4)


@keras.saving.register_keras_serializable("tests")
class Odd(layers.Layer):
    """2 x 12 positions behind a class token."""

    def call(self, x):
        x = ops.image.resize(x, (2, 12), antialias=True)
        return ops.pad(ops.reshape(x, (-1, 24, 3)), ((0, 0), (1, 0), (0, 0)))
