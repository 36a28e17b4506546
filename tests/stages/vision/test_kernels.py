"""The learned filters of every kind of layer: their weights give what the layer gives, and lie where they say."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.kernels import _stored, kernels, with_kernels
from activation_atlas.stages.vision.model import open_model
from tests.quick import first


def saved(path, image, x):
    x = layers.Dense(3, activation="softmax", name="end")(x)
    keras.Model(image, x).save(path)
    return open_model(ModelSpec(path=str(path)))


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    """A layer of each kind, behind an image whose colours are turned round."""
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1)(image)[..., ::-1]
    x = layers.Conv2D(4, 3, padding="same", name="first")(x)
    x = layers.BatchNormalization(name="norm")(x)
    for layer in (
        layers.Conv2D(8, 3, padding="same", groups=2, name="grouped"),
        layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise"),
        layers.SeparableConv2D(5, 3, padding="same", depth_multiplier=2, name="separable"),
        layers.Conv2DTranspose(6, 3, padding="same", name="transposed"),
        layers.Conv2D(7, 1, name="point"),
        layers.EinsumDense("abcd,de->abce", (None, None, 6), name="einsum"),
    ):
        x = layer(x)
    return saved(tmp_path_factory.mktemp("every") / "m.keras", image, layers.GlobalAveragePooling2D()(x))


def answered(own, image):
    """What filters answer to an image as large as they are, (filters,), with loops."""
    return np.array([sum((s * image[..., c]).sum() for s, c in zip(*f, strict=True)) for f in zip(*own, strict=True)])


@pytest.mark.parametrize(
    "name", first(["grouped", "depthwise", "separable", "transposed", "point", "einsum", "end"], "grouped", "depthwise")
)
def test_weights_give_what_the_layer_gives(every, name):
    layer = next(step.operation for step in every.program.steps if step.name == name)
    found = kernels(every, name)
    side = 1 if name in ("point", "einsum", "end") else 3
    shape = (1, side, side, layer.input.shape[-1])
    image = np.random.default_rng(0).standard_normal(shape).astype("float32")
    given = layer.kernel if hasattr(layer, "kernel") else None
    if layer.bias is not None:
        layer.bias.assign(0 * layer.bias)
    answer = layer(image[:, 0, 0] if name == "end" else image)
    if name == "end":  # which is a softmax
        expected = image[0, 0, 0] @ given.numpy()
    else:
        expected = answer.numpy()[0, side // 2, side // 2]
    values = image[0]
    if name == "separable":
        deep = answered((found[0].weights, found[0].reads), values)
        values = deep[None, None]
        assert [one.part for one in found] == ["depthwise", "pointwise"]
    if name == "transposed":  # a filter is what is stamped where the input is: the other way round
        values = values[::-1, ::-1]
    np.testing.assert_allclose(answered((found[-1].weights, found[-1].reads), values), expected, atol=1e-5)
    assert not found[-1].colour


def test_colours_are_the_images_whatever_the_order_inside(every):
    (one,) = kernels(every, "first")
    layer = next(step.operation for step in every.program.steps if step.name == "first")
    assert one.colour and one.scaled_by == "BatchNormalization"
    np.testing.assert_array_equal(one.weights[:, 0], layer.kernel.numpy()[:, :, 2].transpose(2, 0, 1))  # red is last
    np.testing.assert_allclose(one.filter_norms, np.linalg.norm(one.weights.reshape(4, -1), axis=1), rtol=1e-6)
    np.testing.assert_allclose(one.norms, np.linalg.norm(one.weights, axis=(2, 3)), rtol=1e-6)


def test_a_layer_without_a_kernel_is_one_line(every):
    with pytest.raises(UserError, match=r"layer norm of model m.keras: BatchNormalization has no kernel.* is first$"):
        kernels(every, "norm")
    with pytest.raises(UserError, match=r"layer firsd .*none with filters; did you mean first\?"):
        kernels(every, "firsd")
    assert with_kernels(every)[:2] == ["first", "grouped"]


class Embedding(keras.layers.Layer):
    """A patch embedding inside a layer, with what is added to it; where it cannot be opened, its kernel is found."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.projection = layers.Conv2D(5, 4, strides=4)

    def build(self, shape):
        self.projection.build(shape)
        self.positions = self.add_weight(shape=(2, 2, 5), name="positions")


def test_a_patch_embedding_inside_another_layer_is_found():
    layer = Embedding()
    layer.build((None, 8, 8, 3))
    ((_, weights, reads),) = _stored(layer)
    np.testing.assert_array_equal(weights, layer.projection.kernel.numpy().transpose(3, 2, 0, 1))
    assert reads.tolist() == [[0, 1, 2]] * 5
    assert not _stored(keras.layers.ReLU())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["extracted", "reshaped", "flat", "rows"])
def test_dense_layers_on_pixels_have_filters_of_their_shape(tmp_path, kind):
    """A patch embedding, and a template of the whole image: the answer to a patch is the filter times it."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Rescaling(1 / 255)(image)
    if kind == "extracted":
        x = layers.Reshape((4, 48))(ops.image.extract_patches(x, 4))
    elif kind == "reshaped":
        x = ops.transpose(layers.Reshape((2, 4, 2, 4, 3))(x), (0, 1, 3, 5, 2, 4))  # each patch colour by colour
        x = layers.Reshape((4, 48))(x)
    elif kind == "rows":  # as long as a patch, and none
        x = layers.Reshape((4, 48))(x)
    else:
        x = layers.Reshape((1, 192))(layers.Flatten()(x))
    x = layers.Dense(6, use_bias=False, name="embed")(x)
    model = saved(tmp_path / "m.keras", image, layers.GlobalAveragePooling1D()(x))
    (one,) = kernels(model, "embed")
    if kind == "rows":
        assert one.weights.shape == (6, 48, 1, 1) and not one.colour
        return
    side = 8 if kind == "flat" else 4
    assert one.colour and one.weights.shape == (6, 3, side, side)
    pixels = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3)).astype("uint8")
    (tokens,) = model.values(model.to_input(pixels), [model.program.names["embed"]])
    patch = pixels[0, :side, :side].transpose(2, 0, 1) / 255
    np.testing.assert_allclose(np.reshape(tokens, (-1, 6))[0], (one.weights * patch).sum((1, 2, 3)), rtol=1e-4)
