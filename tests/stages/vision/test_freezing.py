"""Frozen graphs: matrices are no part of them, and the numbers are those of a graph of constants."""

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.vision.model import freeze, freezing
from activation_atlas.stages.vision.model.keras_adapter import with_constants

SIDE = 32


@pytest.fixture
def shared(monkeypatch):
    """However few matrices are worth it."""
    monkeypatch.setattr(freezing, "WORTH", 0)


def weights(count, *shape):
    rng = np.random.default_rng(0)
    return [tf.Variable(rng.normal(size=shape), dtype=tf.float32, name=f"w{k}") for k in range(count)]


def traced(function):
    return tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((4, SIDE), tf.float32))


def values(count):
    return tf.constant(np.random.default_rng(count).normal(size=(4, SIDE)), tf.float32)


def test_what_is_multiplied_by_is_shared_and_the_rest_is_not(shared):
    first, second, added, indexed, biased = weights(5, SIDE, SIDE)
    (bias,) = weights(1, SIDE)

    def apply(x):
        x = tf.einsum("nc,cd->nd", tf.nn.relu(tf.matmul(x, first)), tf.reshape(tf.identity(second), (SIDE, SIDE)))
        x = tf.nn.bias_add(tf.matmul(tf.matmul(x, added + 1.0), biased), bias)
        return tf.matmul(x[:, :1], tf.gather(indexed, [0]))

    found = list(freezing.matrices(traced(apply)).values())
    assert len(found) == 2
    for value in (first, second):
        assert any(np.array_equal(each, value) for each in found)


def test_gradients_are_those_of_a_graph_of_constants(shared):
    first, second = weights(2, SIDE, SIDE)

    def slope(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.matmul(tf.nn.gelu(tf.matmul(x, first)), second)
        return tape.gradient(y, x), None, y

    whole, apart = traced(slope), freeze(slope, tf.TensorSpec((4, SIDE), tf.float32))
    assert len(freezing.matrices(whole)) == 2
    found = apart(values(1))
    assert found[1] is None
    for one, other in zip(with_constants(whole, {})(values(1)), (found[0], found[2]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6 * np.abs(other).max())


def test_what_a_model_learns_later_does_not_reach_a_frozen_graph(shared):
    first, second = weights(2, SIDE, SIDE)
    apply = freeze(lambda x: tf.matmul(tf.matmul(x, first), second), tf.TensorSpec((4, SIDE), tf.float32))
    before = apply(values(1)).numpy()
    first.assign(tf.zeros_like(first))
    second.assign_add(tf.ones_like(second))
    np.testing.assert_array_equal(apply(values(1)), before)


def test_few_matrices_are_constants(monkeypatch):
    first, second = weights(2, SIDE, SIDE)
    both = traced(lambda x: tf.matmul(tf.matmul(x, first), second))
    for least, count in ((freezing.WORTH, 0), (2 * 4 * SIDE * SIDE + 1, 0), (2 * 4 * SIDE * SIDE, 2)):
        monkeypatch.setattr(freezing, "WORTH", least)
        assert len(freezing.matrices(both)) == count


def test_a_matrix_that_a_loop_reads_is_a_constant(shared):
    first, second = weights(2, SIDE, SIDE)

    def apply(x):
        x = tf.matmul(x, first)
        return tf.while_loop(lambda k, _: k < 3, lambda k, y: (k + 1, tf.matmul(y, second) / SIDE), (0, x))[1]

    frozen = freeze(apply, tf.TensorSpec((4, SIDE), tf.float32))
    np.testing.assert_allclose(frozen(values(1)), apply(values(1)), rtol=1e-5)
    assert len(freezing.matrices(traced(apply))) == 1
