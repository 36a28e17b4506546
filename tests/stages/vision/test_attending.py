"""Attention in slots: the two halves of a layer give what it gives, or it stays whole."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers, ops

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.loading import Loaded
from tests.stages.vision import small_models as small
from tests.stages.vision import small_transformers as transformers


def model_of(attend: Callable[[keras.KerasTensor], keras.KerasTensor], dtype: str = "float32") -> Model:
    """A classifier of what ``attend`` makes of 16 tokens (n, 16, 8)."""

    def builder() -> keras.Model:
        image = keras.Input((16, 16, 3))
        x = attend(layers.LayerNormalization()(transformers.patches(image)))
        return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))

    return Model(Loaded("own", small.build(builder, dtype), lambda x: x), ModelSpec(path="own", output="logits"))


class Impostor(layers.MultiHeadAttention):
    """Says that it attends, and does something more."""

    def build(self, query_shape, value_shape):
        super().build(query_shape, value_shape)

    def call(self, query, value, return_attention_scores=False, training=None):
        found, scores = super().call(query, value, return_attention_scores=True, training=training)
        return (2 * found, scores) if return_attention_scores else 2 * found

    def compute_output_spec(self, query, value, **options):
        return keras.KerasTensor(query.shape, query.dtype)


def split(x: keras.KerasTensor, heads: int = 2) -> keras.KerasTensor:
    return ops.reshape(x, (-1, x.shape[1], heads, x.shape[2] // heads))


def by_operation(x: keras.KerasTensor) -> keras.KerasTensor:
    query, key, value = (split(layers.Dense(8)(x)) for _ in range(3))
    return ops.reshape(ops.dot_product_attention(query, key, value), (-1, 16, 8))


def masked(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)


def twice(x: keras.KerasTensor) -> keras.KerasTensor:
    attend = layers.MultiHeadAttention(2, 4, name="attend")
    return attend(attend(x, x), x)


def scored(x: keras.KerasTensor) -> keras.KerasTensor:
    """A network that looks at its own attention."""
    x, scores = layers.MultiHeadAttention(2, 4, name="attend")(x, x, return_attention_scores=True)
    return x * ops.max(scores, axis=(1, 3))[..., None]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(("attend", "blocks"), [(by_operation, 1), (masked, 1), (twice, 2), (scored, 1)])
def test_attention_sums_to_one_and_the_logits_are_the_same(attend, blocks, dtype):
    model = model_of(attend, dtype)
    x = model.to_input(small.pixels())
    found, logits = model.attention(x)
    assert [(a.heads, a.tokens) for a in model.attention.found] == [(2, 16)] * blocks
    within = {"float32": 1e-5, "float64": 1e-12}.get(dtype, 3e-2)
    expected = model.forward()(x)[1].numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=within * np.abs(expected).max())
    for attention in found:
        attention = ops.cast(attention, "float64").numpy()
        assert attention.shape == (3, 2, 16, 16) and attention.min() >= 0
        np.testing.assert_allclose(attention.sum(-1), 1, atol=max(within, 1e-6))
    if attend is masked:
        assert not np.triu(attention, 1).any()


@pytest.mark.parametrize(
    "attend",
    [
        lambda x: Impostor(2, 4)(x, x),
        lambda x: layers.MultiHeadAttention(2, 4)(x[:, :1], x),
    ],
    ids=["an impostor", "one query"],
)
def test_what_is_not_attention_among_all_tokens_stays_whole(attend):
    model = model_of(attend)
    assert not model.attention.found
    x = model.to_input(small.pixels())
    np.testing.assert_array_equal(model.attention(x)[1], model.forward()(x)[1])
