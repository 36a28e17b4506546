"""How far an operation reaches, by hand and against which inputs, changed one at a time, change which outputs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from activation_atlas.stages.vision.model.geometry import Sliding, Window, sliding
from activation_atlas.stages.vision.model.geometry.windows import resized, transposed
from activation_atlas.stages.vision.model.program import Slot, Step

SAME_PADDING = [  # inside, kernel, stride, dilation: before, behind; worked out by hand from TensorFlow's definition
    ((8, 3, 1, 1), (1, 1)),
    ((8, 3, 2, 1), (0, 1)),  # the odd zero lies behind
    ((9, 3, 2, 1), (1, 1)),
    ((8, 4, 1, 1), (1, 2)),  # an even kernel
    ((8, 2, 1, 1), (0, 1)),
    ((8, 3, 1, 3), (3, 3)),
    ((8, 2, 5, 1), (0, 0)),  # a stride that passes over inputs
    ((7, 2, 5, 1), (0, 0)),
    ((6, 2, 5, 1), (0, 1)),
    ((1, 3, 2, 1), (1, 1)),
    ((1, 7, 1, 2), (6, 6)),
]


@pytest.mark.parametrize(("sizes", "padding"), SAME_PADDING)
def test_same_padding_by_hand(sizes, padding):
    assert Sliding.over(*sizes, "same").padding == padding


def test_intervals_by_hand():
    """A kernel of 3 with a stride of 2 on 8 inputs: output p reads 2 p to 2 p + 2, the last of them one of padding."""
    window = Sliding.over(8, 3, 2, 1, "same").window
    assert window == Window(2, 0, 2)
    assert window.reads(1, 3) == (2, 8)
    assert window.influences(3, 4) == (1, 2) and window.influences(3, 3) == (1, 1)
    assert window.decides(2, 7) == (1, 2)
    assert Sliding(padding=(-2, -1)).window.reads(0, 4) == (2, 6)  # cut
    assert Window(5, 0, 1).influences(2, 4) == (1, 0)  # passed over: nothing
    assert Window(-1, 7, 7).reads(1, 2) == (5, 6) and Window(-1, 7, 7).influences(5, 6) == (1, 2)
    assert Window(-1, 7, 8).decides(5, 6) == (2, 2)  # output 2 reads 5 and 6, output 1 also 7


def changed(function, inside: int) -> np.ndarray:
    """Which outputs (outside, inside) each input changes: every one is changed alone."""
    x = np.zeros((inside + 1, inside), np.float32)
    x[np.arange(1, inside + 1), np.arange(inside)] = 1
    found = np.asarray(function(x))
    return (found[1:] != found[:1]).T


def check(window: Window, touched: np.ndarray, holes: bool) -> None:
    """The window against what touches what; with holes (dilation) inputs between the outermost may touch nothing."""
    outside, inside = touched.shape
    for p in range(outside):
        low, high = (int(end) for end in window.reads(p, p))
        seen = np.flatnonzero(touched[p])
        assert not len(seen) or (low <= seen[0] and seen[-1] <= high)
        if not holes:
            assert list(seen) == list(range(max(low, 0), min(high, inside - 1) + 1))
    for low in range(inside):
        for high in range(low, inside):
            first, last = window.influences(low, high)
            within = np.arange(max(first, 0), min(last, outside - 1) + 1)
            hit = touched[:, low : high + 1].any(1)
            assert set(np.flatnonzero(hit)) <= set(within) and (holes or list(np.flatnonzero(hit)) == list(within))
            first, last = window.decides(low, high)
            inner = np.arange(max(first, 0), min(last, outside - 1) + 1)
            other = touched.copy()
            other[:, low : high + 1] = False
            assert not other[inner].any()


kernels = st.tuples(st.integers(1, 5), st.integers(1, 6), st.integers(1, 3))


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 17), kernels, st.sampled_from(["same", "valid", "causal"]))
def test_what_slides_reaches_as_far_as_it_says(inside, kernel, padding):
    size, stride, dilation = kernel
    slides = Sliding.over(inside, size, stride, dilation, padding)
    outside = slides.count(inside)
    if outside < 1:
        return
    taps = stride * np.arange(outside)[:, None] + dilation * np.arange(size)

    def slow(x: np.ndarray) -> np.ndarray:
        return np.pad(x, [(0, 0), slides.padding])[:, taps].sum(-1)

    check(slides.window, changed(slow, inside), holes=dilation > 1)


def _step(operation, *args) -> Step:
    return Step("step", operation, (Slot(0), *args), {}, (0,), (1,))


ONES = {"kernel_initializer": "ones"}
OPERATIONS = {  # what is done to a map of 11 x 9 x 2
    "even kernel, same": layers.Conv2D(2, (4, 2), padding="same", **ONES),
    "stride 2, same": layers.Conv2D(2, 3, strides=2, padding="same", **ONES),
    "stride above kernel": layers.Conv2D(2, (2, 1), strides=(5, 3), **ONES),
    "stride above kernel, same": layers.Conv2D(2, 2, strides=5, padding="same", **ONES),
    "dilated": layers.Conv2D(2, (2, 3), dilation_rate=(3, 2), padding="same", **ONES),
    "groups": layers.Conv2D(2, 3, groups=2, **ONES),
    "depthwise": layers.DepthwiseConv2D(3, strides=2, padding="same", depthwise_initializer="ones"),
    "separable": layers.SeparableConv2D(2, (5, 4), depthwise_initializer="ones", pointwise_initializer="ones"),
    "maximum": layers.MaxPooling2D(3, 2, padding="same"),
    "mean": layers.AveragePooling2D((2, 3)),
    "padded": layers.ZeroPadding2D(((2, 0), (1, 3))),
    "cut": layers.Cropping2D(((2, 1), (0, 3))),
}


def moved(layer: layers.Layer, shape: tuple, axis: int) -> np.ndarray:
    """Which outputs along an axis the inputs along it change, in the middle of the other."""
    x = np.zeros((shape[axis] + 1, *shape[1:]), np.float32)
    np.moveaxis(x, axis, 1)[np.arange(1, len(x)), np.arange(shape[axis])] = 1
    found = np.asarray(layer(x))
    return (np.abs(found[1:] - found[:1]).max((2 if axis == 1 else 1, 3)) > 0).T


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 11, 9, 2), (1, 5, 4, 2)])
def test_layers_are_read_as_they_are(name, shape):
    layer = OPERATIONS[name]
    for axis in (1, 2):
        slides = sliding(_step(layer), axis, shape)
        touched = moved(layer, shape, axis)
        assert slides.count(shape[axis]) == len(touched)
        check(slides.window, touched, holes=slides.dilation > 1)
    assert sliding(_step(layer), 3, shape) is None


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_map_of_one_pixel(padding):
    layer = layers.Conv2D(1, 1 if padding == "valid" else 5, strides=2, padding=padding, **ONES)
    slides = sliding(_step(layer), 1, (1, 1, 1, 1))
    assert slides.count(1) == layer(np.ones((1, 1, 1, 1))).shape[1] == 1
    check(slides.window, moved(layer, (1, 1, 1, 1), 1), holes=False)


def test_causal_padding_is_keras_own():
    layer = layers.Conv1D(1, 3, dilation_rate=2, padding="causal", **ONES)
    touched = changed(lambda x: layer(x[:, :, None])[:, :, 0], 9)
    check(Sliding.over(9, 3, 1, 2, "causal").window, touched, holes=True)


def test_functions_are_read_as_layers_are():
    kernel = np.ones((3, 2, 2, 2), np.float32)
    function = ops.nn.conv(keras.KerasTensor((1, 11, 9, 2)), kernel, 2, "same")._keras_history.operation
    slides = [sliding(_step(function, kernel), axis, (1, 11, 9, 2)) for axis in (1, 2)]
    assert slides == [Sliding.over(11, 3, 2, 1, "same"), Sliding.over(9, 2, 2, 1, "same")]
    assert sliding(_step(function, Slot(2)), 1, (1, 11, 9, 2)) is None  # a kernel that is computed


def test_channels_first_slides_along_the_last_axes():
    layer = layers.MaxPooling2D((2, 3), data_format="channels_first")
    assert sliding(_step(layer), 1, (1, 2, 8, 9)) is None
    assert [sliding(_step(layer), axis, (1, 2, 8, 9)).kernel for axis in (2, 3)] == [2, 3]


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (4, 2), (2, 3), (5, 1)])
def test_a_transposed_convolution_turns_sliding_round(padding, kernel, stride):
    layer = layers.Conv2DTranspose(2, kernel, strides=stride, padding=padding, **ONES)
    shape = (1, 6, 5, 2)
    for axis in (1, 2):
        touched = moved(layer, shape, axis)
        window = transposed(_step(layer), axis, shape, (1, *(np.array(layer(np.ones(shape))).shape[1:])))
        for i in range(shape[axis]):
            first, last = window.influences(i, i)
            hit = np.flatnonzero(touched[:, i])
            assert (max(first, 0), min(last, len(touched) - 1)) == (hit[0], hit[-1])


@pytest.mark.parametrize("outside", [3, 7, 14, 22])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_a_resize_reads_no_further_than_it_says(outside, interpolation):
    layer = layers.Resizing(outside, 7, interpolation=interpolation)
    window, touched = resized(7, outside, interpolation), moved(layer, (1, 7, 7, 1), 1)
    for p in range(outside):
        low, high = window.reads(p, p)
        seen = np.flatnonzero(touched[p])
        assert np.ceil(np.round(low, 6)) <= seen[0] and seen[-1] <= np.floor(np.round(high, 6))
