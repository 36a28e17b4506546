"""Attention, its rollout and its gradient: written as the papers are, in NumPy, on transformers of two blocks."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from scipy.special import erf

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.attention import attention_maps, tokens
from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods.attention import relevant, rolled
from activation_atlas.stages.vision.model import open_model
from tests.stages.vision import small_models as small
from tests.stages.vision import small_transformers as transformers
from tests.stages.vision.methods.five import built, explained, images
from tests.stages.vision.small_transformers import HEADS, WIDTH

TARGETS = [2, 0]


class Twin:
    """A transformer of two blocks in NumPy, float64, whose attention can be changed."""

    def __init__(self, built, by_class: bool) -> None:
        self.of = {layer.name: [w.numpy().astype(np.float64) for w in layer.weights] for layer in built.layers}
        self.by_class = by_class

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        scale, *shift = self.of[name]
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-3) * scale + sum(shift)

    def attend(self, x: np.ndarray, name: str, change: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        q, qb, k, kb, v, vb, out, bias = self.of[name]
        query, key, value = (np.einsum("...tc,chd->...htd", x, w) + b[:, None] for w, b in ((q, qb), (k, kb), (v, vb)))
        power = np.exp(query @ np.swapaxes(key, -1, -2) / np.sqrt(WIDTH // HEADS))
        attention = power / power.sum(-1, keepdims=True) + change
        return np.einsum("...htd,hdc->...tc", attention @ value, out) + bias, attention

    def __call__(self, pixels: np.ndarray, changes: tuple = (0.0, 0.0)) -> tuple[list[np.ndarray], np.ndarray]:
        """Attention (..., heads, T, T) of both blocks, and logits (..., K) of an image; attention changed."""
        kernel, bias = self.of["patches"]
        cut = (pixels / 127.5 - 1).reshape(4, 4, 4, 4, 3).transpose(0, 2, 1, 3, 4).reshape(16, 48)
        x = cut @ kernel.reshape(48, WIDTH) + bias
        x = np.concatenate([self.of["class_token"][0], x]) if self.by_class else x
        weights, places = self.of["places"]
        x, attention = x @ weights + places, []
        for k, change in enumerate(changes, 1):
            taken, found = self.attend(self.norm(x, f"block_{k}_norm_1"), f"block_{k}_attention", change)
            attention.append(found)
            x = x + taken
            (first, b), (second, c) = self.of[f"block_{k}_dense_1"], self.of[f"block_{k}_dense_2"]
            hidden = self.norm(x, f"block_{k}_norm_2") @ first + b
            hidden = hidden * (1 + erf(hidden / 2**0.5)) / 2
            x = x + hidden @ second + c
        x = self.norm(x, "norm")
        weights, bias = self.of["predictions"]
        return attention, (x[..., 0, :] if self.by_class else x.mean(-2)) @ weights + bias

    def slopes(self, pixels: np.ndarray, target: int, step: float = 1e-4) -> list[np.ndarray]:
        """d logit / d attention of both blocks, by differences, of each number alone."""
        found = []
        for block in (0, 1):
            shape = self(pixels)[0][block].shape
            change = step * np.eye(np.prod(shape)).reshape(-1, *shape)
            ends = [self(pixels, (c, 0.0) if block == 0 else (0.0, c))[1] for c in (change, -change)]
            found.append(((ends[0] - ends[1])[:, target] / (2 * step)).reshape(shape))
        return found


@pytest.fixture(scope="module", params=["class_token", pytest.param("pooled", marks=pytest.mark.slow)])
def pair(request, tmp_path_factory):
    """A model opened from its file, and its twin."""
    own = small.build(getattr(transformers, request.param), "float64")
    path = small.save(own, tmp_path_factory.mktemp(request.param))
    return open_model(ModelSpec(path=path)), Twin(own, request.param == "class_token")


def asking(twin: Twin) -> np.ndarray:
    """Of which tokens the attention is wanted, (T,)."""
    return np.eye(17)[0] if twin.by_class else np.full(16, 1 / 16)


def test_attention_is_that_of_the_last_block(pair):
    model, twin = pair
    pixels = images(model, 2)
    maps = explained(built("attention", model), pixels, TARGETS)
    for image, values, scores in zip(pixels, maps.values, maps.scores, strict=True):
        attention, logits = twin(image)
        for value in values:  # the same for each class
            np.testing.assert_allclose(value.reshape(-1), (asking(twin) @ attention[1].mean(0))[-16:], rtol=1e-5)
        np.testing.assert_allclose(scores, logits[TARGETS], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("block", "number"), [(1, 0), (-2, 0), (2, 1), (-1, 1)])
@pytest.mark.parametrize(("head", "joined"), [(1, lambda w: w[1]), ("max", lambda w: w.max(0))])
def test_a_block_and_a_head_are_chosen(pair, block, number, head, joined):
    model, twin = pair
    (image,) = images(model, 1)
    maps = explained(built("attention", model, block=block, head=head), image[None], TARGETS)
    expected = asking(twin) @ joined(twin(image)[0][number])
    np.testing.assert_allclose(maps.values[0, 0].reshape(-1), expected[-16:], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("heads", ["mean", "max"])
def test_rollout_is_the_product_of_all_blocks(pair, heads):
    model, twin = pair
    pixels = images(model, 2)
    maps = explained(built("attention_rollout", model, heads=heads), pixels, TARGETS)
    for image, values in zip(pixels, maps.values, strict=True):
        product = np.eye(len(asking(twin)))
        for attention in twin(image)[0]:
            joined = attention.mean(0) if heads == "mean" else attention.max(0)
            mixed = 0.5 * joined / joined.sum(-1, keepdims=True) + 0.5 * np.eye(len(joined))
            product = mixed @ product
        np.testing.assert_allclose(values[0].reshape(-1), (asking(twin) @ product)[-16:], rtol=1e-5)


@pytest.mark.slow
def test_the_gradient_of_attention_is_that_of_differences(pair):
    model, twin = pair
    (image,) = images(model, 1)
    maps = explained(built("attention_gradient", model), image[None], TARGETS).values[0]
    attention, _ = twin(image)
    for target, values in zip(TARGETS, maps, strict=True):
        relevance = np.eye(len(asking(twin)))
        for weights, slope in zip(attention, twin.slopes(image, target), strict=True):
            relevance = relevance + np.maximum(weights * slope, 0).mean(0) @ relevance
        expected = asking(twin) @ (relevance - np.eye(len(relevance)))
        np.testing.assert_allclose(values.reshape(-1), expected[-16:], rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_maps_of_all_heads(pair):
    model, twin = pair
    pixels = images(model, 2)
    maps = attention_maps(model, pixels)
    assert [name for name, _ in maps] == ["block_1_attention", "block_2_attention"]
    for (_, values), attention in zip(maps, twin(pixels[1])[0], strict=True):
        assert values.shape == (2, HEADS, 4, 4) and values.dtype == np.float32
        np.testing.assert_allclose(values[1].reshape(HEADS, -1), (asking(twin) @ attention)[:, -16:], rtol=1e-5)


def test_numbers_worked_out_by_hand():
    """Two blocks of one head, a class token and two patches. The class token takes a quarter and a half."""
    first = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], np.float32)
    second = np.array([[0.25, 0.25, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    slopes = [np.full((3, 3), 2.0, np.float32), np.array([[1, -1, 2], [0, 0, 0], [0, 0, 0]], np.float32)]
    attention, slopes = ([tf.constant(x)[None, None] for x in given] for given in ([first, second], slopes))
    row = tf.constant([[1.0, 0, 0]])
    # Row of (W + I) / 2: .625 .125 .25, times the first block's: .75 .125 .125; 0 1 0; .25 0 .75.
    np.testing.assert_allclose(rolled(attention, row)[0], [0.53125, 0.203125, 0.265625])
    # M: .25 0 1 of the class token. 1.25 0 1 times I + M of the first block: 2 .5 .5; 0 3 0; 1 0 2.
    np.testing.assert_allclose(relevant(attention, slopes, row)[0], [3.5 - 1, 0.625, 2.625])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "by_class"),
    [
        (lambda x: ops.mean(x, 1), False),
        (lambda x: ops.concatenate([x[:, 2], ops.mean(x[:, 3:], 1)], -1), True),  # behind two registers
    ],
)
def test_whose_attention_is_what_the_logits_read(tmp_path, head, by_class):
    image = keras.Input((16, 16, 3), name="image")
    x = transformers.patches(image)
    beside = keras.layers.Embedding(3, WIDTH, name="beside")(ops.zeros_like(x[:, :3, 0], dtype="int32"))
    x = transformers.block(transformers.placed(keras.layers.Concatenate(axis=1)([beside, x])), "block")
    keras.Model(image, keras.layers.Dense(3)(head(x))).save(tmp_path / "model.keras")
    model = open_model(ModelSpec(path=str(tmp_path / "model.keras"), output="logits"))
    found = tokens(model, "attention")
    assert (found.by_class, found.patches) == (by_class, tuple(range(3, 19)))
    assert not by_class or found.token == 2
    methods = (METHODS[name] for name in ("attention", "attention_rollout", "attention_gradient"))
    asked = [method.configure(model, method.options(), lambda n: None) for method in methods]
    assert [one["query"] for one in asked] == ["class" if by_class else "patches"] * 3
    ((_, seen),) = attention_maps(model, images(model, 1))
    whole = np.asarray(model.attention(model.to_input(tf.constant(images(model, 1))))[0][0])[0]
    expected = whole[:, 2, 3:] if by_class else whole[:, 3:, 3:].mean(1)
    np.testing.assert_allclose(seen[0].reshape(HEADS, -1), expected, rtol=1e-5)


def test_what_a_model_does_not_have_is_refused_in_one_line(tmp_path, pair):
    model, twin = pair
    for options, words in (
        ({"block": 3}, "block: 3, but there are 2 blocks"),
        ({"block": 0}, "block: 0, but there are 2 blocks"),
        ({"head": 2}, "head: 2, but there are 2 heads, 0 to 1"),
        *([] if twin.by_class else [({"query": "class"}, "has no class token: its 16 tokens are the 4 x 4 patches")]),
    ):
        with pytest.raises(UserError, match=words) as said:
            built("attention", model, **options)
        assert "\n" not in str(said.value)
    with pytest.raises(UserError, match="has no attention among the tokens"):
        attention_maps(small.opened("linear", tmp_path), None)
