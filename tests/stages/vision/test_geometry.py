"""What a position sees, reckoned through every kind of operation, against which pixels move which positions."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.geometry import proof
from tests.stages.vision.methods.five import opened

HEIGHT, WIDTH = 20, 28


def _conv(**options):
    return layers.Conv2D(2, 3, kernel_initializer=keras.initializers.RandomUniform(0.1, 1, seed=1), **options)


def _transposed(size: int, **options):
    return layers.Conv2DTranspose(2, size, strides=2, kernel_initializer="ones", **options)


def _first(layer, back: bool = False):
    """Behind a permutation to channels first, and before one back."""
    to_last = layers.Permute((2, 3, 1)) if back else layers.Identity()
    return lambda x: to_last(layer(layers.Permute((3, 1, 2))(x)))


def _shuffled(x):
    """ShuffleNet's channel shuffle."""
    x = layers.Reshape((10, 14, 2, 1))(_conv(strides=2, padding="same")(x))
    return layers.Reshape((10, 14, 2))(layers.Permute((1, 2, 4, 3))(x))


def _sum(x):
    return layers.Add()([_conv(strides=2, padding="same")(x), layers.MaxPooling2D(2)(x[..., :2])])


def _gated(x):
    gate = layers.Dense(2)(layers.GlobalAveragePooling2D(keepdims=True)(x))
    return layers.Multiply()([_conv()(x), gate])


def _margins(function, **options):
    return lambda x: function(x, **options)


_adaptive = {}
if hasattr(layers, "AdaptiveAveragePooling2D"):  # the lowest Keras that is allowed has none
    _adaptive["adaptive"] = (layers.AdaptiveAveragePooling2D((5, 7)), (4, 4), (1.5, 1.5))

BRANCHES = {  # what is done to 20 x 28 pixels; stride and offset, down and right
    "same": (_conv(padding="same"), (1, 1), (0, 0)),
    "same, stride 2": (_conv(strides=2, padding="same"), (2, 2), (1, 1)),
    "valid": (_conv(), (1, 1), (1, 1)),
    "valid, stride 3": (_conv(strides=3), (3, 3), (1, 1)),
    "dilated": (_conv(dilation_rate=(2, 3)), (1, 1), (2, 3)),
    "depthwise": (layers.DepthwiseConv2D(3, strides=2, depthwise_initializer="ones"), (2, 2), (1, 1)),
    "separable": (layers.SeparableConv2D(2, (3, 5), depthwise_initializer="ones"), (1, 1), (1, 2)),
    "patches": (layers.Conv2D(2, 6, strides=6, kernel_initializer="ones"), (6, 6), (2.5, 2.5)),
    "transposed": (_transposed(3, padding="same"), (0.5, 0.5), (-0.5, -0.5)),
    "transposed, valid": (_transposed(4), (0.5, 0.5), (-0.75, -0.75)),
    "maximum": (layers.MaxPooling2D(3, 2), (2, 2), (1, 1)),
    "mean": (layers.AveragePooling2D((2, 4)), (2, 4), (0.5, 1.5)),
    "mean, same": (layers.AveragePooling2D(3, padding="same"), (3, 3), (1, 0)),
    **_adaptive,
    "padding": (layers.ZeroPadding2D(((7, 1), (0, 12))), (1, 1), (-7, 0)),
    "pad": (lambda x: ops.pad(x, ((0, 0), (2, 0), (5, 1), (0, 0))), (1, 1), (-2, -5)),
    "cropping": (layers.Cropping2D(((3, 1), (9, 2))), (1, 1), (3, 9)),
    "centre crop": (layers.CenterCrop(9, 14), (1, 1), (5, 7)),
    "slices": (lambda x: x[:, 4:17:3, -10:], (3, 1), (4, 18)),
    "crop images": (
        _margins(ops.image.crop_images, top_cropping=2, right_cropping=3, target_height=9, target_width=8),
        (1, 1),
        (2, 17),
    ),
    "pad images": (
        _margins(ops.image.pad_images, bottom_padding=2, left_padding=3, target_height=30, target_width=40),
        (1, 1),
        (-8, -3),
    ),
    "flipped": (lambda x: _conv(strides=2)(ops.flip(x, 2)), (2, 2), (1, 2)),
    "turned": (lambda x: ops.rot90(x[:, :, :19], axes=(1, 2)), (1, 1), (0, 0)),
    "transposition": (lambda x: _conv(strides=(2, 3))(layers.Permute((2, 1, 3))(x)), (3, 2), (1, 1)),
    "swapped": (lambda x: ops.swapaxes(x, 1, 3)[:, :, 4:], (1, 1), (0, 4)),
    "moved": (lambda x: ops.moveaxis(x, -1, 1)[:, :, 2:], (1, 1), (2, 0)),
    "channels first": (_first(_conv(data_format="channels_first", strides=2)), (2, 2), (1, 1)),
    "pooled first": (_first(layers.MaxPooling2D((2, 4), data_format="channels_first"), True), (2, 4), (0.5, 1.5)),
    "shuffled": (_shuffled, (2, 2), (1, 1)),
    "sum": (_sum, (2, 2), (1, 1)),
    "gate": (_gated, (1, 1), (1, 1)),
    "crop, then stride": (lambda x: _conv(strides=2)(layers.CenterCrop(12, 12)(x)), (2, 2), (5, 9)),
    "stride, then crop": (lambda x: layers.CenterCrop(4, 4)(_conv(strides=2)(x)), (2, 2), (5, 9)),
    # Resized: half-pixel centres.
    "smaller": (layers.Resizing(5, 14), (4, 2), (1.5, 0.5)),
    "larger": (layers.Resizing(40, 42), (0.5, 2 / 3), (-0.25, -1 / 6)),
    "repeated": (lambda x: ops.repeat(x, 2, axis=2), (1, 0.5), (0, -0.25)),
    "nearest": (layers.UpSampling2D((2, 3)), (0.5, 1 / 3), (-0.25, -1 / 3)),
    "cubic": (lambda x: ops.image.resize(x, (30, 30), "bicubic"), (2 / 3, 28 / 30), (-1 / 6, -1 / 30)),
    "smoothed": (layers.Resizing(7, 7, antialias=True), (20 / 7, 4), (20 / 14 - 0.5, 1.5)),
    "cut to a square": (layers.Resizing(10, 10, crop_to_aspect_ratio=True), (2, 2), (0.5, 4.5)),
    "padded to a square": (layers.Resizing(14, 14, pad_to_aspect_ratio=True), (2, 2), (-3.5, 0.5)),
    "centre crop of a smaller one": (layers.CenterCrop(30, 30), (2 / 3, 2 / 3), (-1 / 6, 4 - 1 / 6)),
}
RESIZED = list(BRANCHES)[list(BRANCHES).index("smaller") :]


def _plain(name: str) -> str:
    return "at_" + name.replace(" ", "_").replace(",", "")


@pytest.fixture(scope="module")
def every(tmp_path_factory) -> Model:
    """A network with a branch for each operation."""
    image = keras.Input((HEIGHT, WIDTH, 3))
    found = []
    for name, (make, *_) in BRANCHES.items():
        x = layers.Identity(name=_plain(name))(make(layers.Identity()(image)))
        first = x.shape[1] < 4 and x.shape[3] > 4
        found.append(layers.GlobalAveragePooling2D(data_format="channels_first" if first else "channels_last")(x))
    return opened(keras.Model(image, layers.Dense(2)(layers.Concatenate()(found))), tmp_path_factory.mktemp("every"))


@pytest.fixture(scope="module")
def moving(every) -> dict[str, np.ndarray]:
    """For each branch, how far each pixel of a flat image moves each position: (H, W, HEIGHT, WIDTH)."""
    pixels = np.zeros((HEIGHT * WIDTH + 1, HEIGHT, WIDTH, 3), np.float32)
    pixels[1:].reshape(HEIGHT * WIDTH, -1, 3)[np.arange(HEIGHT * WIDTH), np.arange(HEIGHT * WIDTH)] = 1
    names = list(map(_plain, BRANCHES))
    maps = every.values(tf.constant(pixels), [every.slot(name) for name in names])
    by = {n: np.abs(m.numpy()[1:] - m.numpy()[:1]).sum(-1) for n, m in zip(names, maps, strict=True)}
    return {n: np.moveaxis(m, 0, -1).reshape(*m.shape[1:], HEIGHT, WIDTH) for n, m in by.items()}


@pytest.mark.parametrize("name", BRANCHES)
def test_positions_see_the_pixels_that_move_them(name, every, moving):
    info, moved = every.layer(_plain(name)), moving[_plain(name)]
    assert info.stride == pytest.approx(BRANCHES[name][1]) and info.offset == pytest.approx(BRANCHES[name][2])
    assert (info.height, info.width) == moved.shape[:2]
    if name == "gate":  # its other branch looks at the whole image, and is left out
        moved = np.where(moved > moved.max() / 20, moved, 0)
    sides = every.seen[every.slot(info.name)].sides
    for axis, (side, count) in enumerate(zip(sides, moved.shape[:2], strict=True)):
        touched = moved.max((1 - axis, 3 - axis)) > 1e-6  # (positions, pixels)
        for place in range(count):
            seen, along = np.flatnonzero(touched[place]), side.stride * place
            first, last = max(side.low, side.first + along), min(side.high, side.last + along)
            if name in RESIZED and len(seen):  # as wide for all positions
                centre = np.clip(side.centre + along, 0, touched.shape[1] - 1)
                assert first - 1e-4 <= seen[0] and seen[-1] <= last + 1e-4
                assert abs(seen.mean() - centre) <= max(1.5, side.stride)
            elif "transposed" in name:  # some positions of a stride see less
                assert not len(seen) or (first <= seen[0] and seen[-1] <= last)
            elif name not in RESIZED:
                assert (list(seen[[0, -1]]) if len(seen) else []) == ([first, last] if first <= last else []), place
        lit = np.flatnonzero(touched.any(0))
        if name not in ("slices", "gate"):
            assert (round(side.low), round(side.high)) == (lit[0], lit[-1]) or name in RESIZED


@pytest.mark.parametrize("name", BRANCHES)
def test_numbers_prove_what_is_reckoned(name, every):
    info = every.placed(_plain(name))
    seen = every.seen[every.slot(info.name)]
    assert seen.known and seen.upright
    top, left, bottom, right = info.covers
    assert 0 <= top < bottom <= HEIGHT and 0 <= left < right <= WIDTH


# -- told by numbers --------------------------------------------------------------


@keras.saving.register_keras_serializable("tests")
class Unknown(layers.Layer):
    """Does what its mode says: the graph knows nothing of it."""

    def __init__(self, mode: str, **kwargs):
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, x):
        turned = {"flip": lambda: x[:, ::-1], "turn": lambda: ops.transpose(x, (0, 2, 1, 3)), "keep": lambda: 2 * x}
        turned |= {
            "shift": lambda: ops.roll(x, 6, 1),
            "halve": lambda: x[:, ::2, ::2],
            "crop": lambda: x[:, 6:18, 6:18],
        }
        return turned[self.mode]()

    def get_config(self):
        return super().get_config() | {"mode": self.mode}


def _with(tmp_path, mode: str) -> Model:
    image = keras.Input((24, 24, 3))
    x = _conv(padding="same", name="before")(image)
    x = layers.AveragePooling2D(2, name="behind")(Unknown(mode, name="unknown")(x))
    return opened(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), tmp_path)


@pytest.mark.parametrize("mode", ["keep", "halve"])
def test_an_unknown_operation_is_believed_where_numbers_speak_for_it(mode, tmp_path):
    model = _with(tmp_path, mode)
    assert not model.seen[model.slot("behind")].known
    assert model.placed("behind").stride == {"keep": (2, 2), "halve": (4, 4)}[mode]


@pytest.mark.parametrize("mode", ["flip", "turn", "shift", "crop"])
def test_an_unknown_operation_is_refused_where_numbers_speak_against_it(mode, tmp_path):
    model = _with(tmp_path, mode)
    with pytest.raises(UserError, match=r"layer behind of .* cannot be traced back to the image \("):
        model.placed("behind")
    assert model.placed("before").covers == (0, 0, 24, 24)


def test_positions_that_are_mixed_are_refused_by_the_graph(tmp_path):
    image = keras.Input((16, 16, 3))
    x = layers.Reshape((8, 2, 8, 2, 2))(_conv(padding="same", name="before")(image))
    x = layers.Reshape((8, 8, 8), name="folded")(layers.Permute((1, 3, 2, 4, 5))(x))
    model = opened(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))), tmp_path)
    assert [info.name for info in model.layers()] == ["before"]
    with pytest.raises(UserError, match=r"layer folded .* image: reshape\w* \(Reshape\) mixes or moves them"):
        model.layer("folded")


def test_one_sided_padding_is_centred_where_the_weights_lie(tmp_path):
    """A kernel of 3 with a stride of 2 sees 2 p to 2 p + 2; its middle is 2 p + 1, that of even cells 2 p + 1/2."""
    for k, (column, offset) in enumerate(((0, 0.5), (1, 1), (2, 1))):
        image = keras.Input((16, 16, 1))
        x = layers.Conv2D(1, 3, strides=2, padding="same", name="conv")(image)
        model = keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x)), name=f"model_{k}")
        kernel = np.zeros((3, 3, 1, 1))
        kernel[1, column] = 1
        model.get_layer("conv").set_weights([kernel, np.zeros(1)])
        found = opened(model, tmp_path)
        assert found.layer("conv").offset == (1, 1) and found.placed("conv").offset == (1, offset)


def test_spots_at_which_nothing_is_finite_say_nothing():
    spot = proof.Spot((0, 1), (0, 1), np.full((2, 2), np.nan))
    side = proof.Reach(1.0, 0.0, 0.0)
    assert proof.misplaced([spot], (side, side), known=True) is None
    assert proof.misplaced([spot], (side, side), known=False) == "no position moves when pixels do"
