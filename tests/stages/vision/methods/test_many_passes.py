"""Sums over passes: added in order, whatever the batches; what is drawn belongs to the image."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods.many_passes import generator
from activation_atlas.stages.vision.images import decode_to
from activation_atlas.stages.vision.model import open_model
from tests import quick
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import opened
from tests.stages.vision.methods.quadratic import maps_of, photographs, powers, ready

MANY = {
    "smooth_grad": {"samples": 5},
    "integrated_gradients": {"steps": 4},
    "expected_gradients": {"samples": 5},
}


@pytest.mark.parametrize("name", quick.first(MANY))
def test_a_map_does_not_depend_on_batches_companions_or_order(name, tmp_path):
    """To the last bit: where the model's own gradient is, only the sums could differ."""
    model = opened(powers(3), tmp_path, range=(-1, 1))
    pixels, background = photographs(model, 7), photographs(model, 2, seed=8)
    expected = None
    for batch, rows in ((1, range(7)), (2, range(7)), (4, [6, 2, 0, 5, 1, 3, 4]), (7, range(6, -1, -1)), (9, [3])):
        found = maps_of(ready(name, model, batch, background=background, **MANY[name]), pixels, (0, 1), batch, rows)
        expected = expected or found
        np.testing.assert_array_equal(found.values, expected.values[list(rows)])
        np.testing.assert_array_equal(found.scores, expected.scores[list(rows)])
        if expected.gap is not None:
            np.testing.assert_array_equal(found.gap, expected.gap[list(rows)])


@pytest.mark.slow
@pytest.mark.parametrize("name", MANY)
def test_nor_on_a_network_but_for_its_own_rounding(name, tmp_path):
    """At sizes this small a convolution's gradient rounds by its place in the batch."""
    model = small.opened("residual", tmp_path)
    pixels, background = photographs(model, 7), photographs(model, 2, seed=8)
    one = maps_of(ready(name, model, 7, background=background, **MANY[name]), pixels, (0, 1), 7)
    other = maps_of(ready(name, model, 3, background=background, **MANY[name]), pixels, (0, 1), 3, range(6, -1, -1))
    np.testing.assert_allclose(other.values[::-1], one.values, rtol=0, atol=2e-6 * np.abs(one.values).max())


def test_a_row_that_only_fills_the_batch_counts_nowhere(tmp_path):
    """Not even where it is not a number: 5 passes in batches of 4, and an image that overflows."""
    model = opened(powers(3), tmp_path)
    pixels = photographs(model, 2)
    whole = maps_of(ready("smooth_grad", model, 4, samples=5), pixels, batch=4)
    alone = maps_of(ready("smooth_grad", model, 5, samples=5), pixels, batch=1)
    np.testing.assert_array_equal(whole.values, alone.values)


ORDER = """
import numpy as np, tensorflow as tf
rng = np.random.default_rng(0)
sums, rows = np.zeros((4, 3, 211, 97), np.float32), np.array([0, 0, 2, 0, 1, 2, 2, 0, 3, 1, 1, 0], np.int32)
terms = (rng.normal(size=(12, 3, 211, 97)) * 10.0 ** rng.integers(-4, 5, (12, 3, 211, 97))).astype(np.float32)
add = tf.function(lambda s, r, t: tf.tensor_scatter_nd_add(s, r[:, None], t))
found = add(sums, rows, terms).numpy()
for row, term in zip(rows, terms):
    sums[row] += term
np.testing.assert_array_equal(found, sums)
"""


def test_rows_of_one_image_are_added_in_order():
    exec(ORDER, {})


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2"])
def test_rows_are_added_in_order_on_any_number_of_threads(threads):
    limit = f"import tensorflow as tf; tf.config.threading.set_intra_op_parallelism_threads({threads})\n"
    done = subprocess.run([sys.executable, "-c", limit + ORDER], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_drawn_depends_on_the_seed_and_the_image():
    draws = [generator(seed, name).random() for seed in (0, 1) for name in ("a", "b")]
    assert len(set(draws)) == 4
    assert generator(0, "a").random() == draws[0]


@pytest.mark.parametrize("name", ["smooth_grad", "expected_gradients"])
def test_another_seed_gives_another_map(name, tmp_path):
    model = opened(powers(3), tmp_path)
    pixels, background = photographs(model), photographs(model, 2, seed=8)
    zero, one = (maps_of(ready(name, model, seed=seed, background=background, **MANY[name]), pixels) for seed in (0, 1))
    assert not np.allclose(zero.values, one.values)
    np.testing.assert_array_equal(zero.scores, one.scores)


def test_targets_share_the_noise(tmp_path):
    """Each target's map is what it is alone."""
    model = opened(powers(3), tmp_path)
    pixels = photographs(model)
    both = maps_of(ready("smooth_grad", model), pixels)
    alone = maps_of(ready("smooth_grad", model, targets=1), pixels, (1,))
    np.testing.assert_array_equal(alone.values[:, 0], both.values[:, 1])
    assert tf.reduce_all(tf.math.is_finite(both.values))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smooth_grad", "integrated_gradients"])
def test_on_photographs_neither_batch_nor_order_changes_a_bit(name, shared):
    """The whole of MobileNet, whose own gradients do not depend on the batch either."""
    path = shared / "models" / "mobilenet_075_224_imagenet.keras"
    model = open_model(ModelSpec(path=str(path), range=(-1, 1)))
    files = sorted((shared / "data" / "imagenet_sample").rglob("*.jpg"))[:3]
    pixels = np.stack([decode_to(file.read_bytes(), model.input_size, "center", 3, 10**9) for file in files])
    options = {"smooth_grad": {"samples": 3}, "integrated_gradients": {"steps": 20}}[name]
    one = maps_of(ready(name, model, 8, **options), pixels, (207, 3), 8)
    other = maps_of(ready(name, model, 5, **options), pixels, (207, 3), 5, [2, 0, 1])
    np.testing.assert_array_equal(other.values, one.values[[2, 0, 1]])
    if one.gap is not None:
        np.testing.assert_array_less(np.abs(one.gap), 0.1 * np.abs(one.values).sum((2, 3)))
