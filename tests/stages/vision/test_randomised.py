"""A model whose layers are shuffled from the logits down."""

from itertools import islice

import keras
import numpy as np
import pytest

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.model import open_model, randomised
from activation_atlas.stages.vision.model.loading import load
from activation_atlas.stages.vision.model.randomised import at_depth, cascade, depths, shuffle, weighted
from tests.stages.vision import small_models


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    built = small_models.build(small_models.nested)
    return ModelSpec(path=small_models.save(built, tmp_path_factory.mktemp("models")))


def test_depths_hold_the_last_layer_and_all():
    assert depths(28, 6) == [1, 6, 12, 17, 23, 28]
    assert depths(3, 6) == [1, 2, 3]
    assert depths(1, 6) == [1]


def test_layers_with_weights_are_found_within_nested_models_in_running_order(spec):
    names = [name for name, _ in weighted(load(spec))]
    assert names == ["backbone/conv_a", "backbone/norm", "backbone/conv_b", "predictions"]


def test_a_layer_called_twice_is_one_layer(tmp_path):
    path = small_models.save(small_models.build(small_models.shared), tmp_path)
    names = [name for name, _ in weighted(load(ModelSpec(path=path)))]
    assert len(names) == 3 and names[0] == "conv"


def test_shuffling_keeps_the_values_and_moves_them(spec):
    layer = dict(weighted(load(spec)))["backbone/norm"]
    before = [w.copy() for w in layer.get_weights()]
    shuffle(layer, "backbone/norm", 0)
    after = layer.get_weights()
    for old, new in zip(before, after, strict=True):
        assert sorted(old) == sorted(new) and not np.array_equal(old, new)
    # Scale, shift, mean and variance of a channel stay together.
    rows = {tuple(row) for row in np.stack(before, 1).tolist()}
    assert {tuple(row) for row in np.stack(after, 1).tolist()} == rows


def test_the_cascade_goes_down_from_the_logits_and_leaves_the_model_as_it_was(spec):
    pixels = keras.ops.convert_to_tensor(small_models.pixels())
    own = open_model(spec)

    def taps(model):
        found, logits = model.forward(["backbone/conv_a", "backbone/conv_b"])(model.to_input(pixels))
        return [np.asarray(found["backbone/conv_a"]), np.asarray(found["backbone/conv_b"]), np.asarray(logits)]

    first = taps(own)
    changed = []
    for depth, count, name, model in cascade(spec, 6, seed=0):
        changed.append(
            (depth, count, name, [not np.array_equal(a, b) for a, b in zip(first, taps(model), strict=True)])
        )
    assert changed == [
        (1, 4, "predictions", [False, False, True]),
        (2, 4, "backbone/conv_b", [False, True, True]),
        (3, 4, "backbone/norm", [False, True, True]),
        (4, 4, "backbone/conv_a", [True, True, True]),
    ]
    assert all(np.array_equal(a, b) for a, b in zip(first, taps(own), strict=True))
    for number in (0, 2, 1, 3):  # in whatever order they are asked for
        depth, count, name, model = at_depth(spec, 6, number, seed=0)
        changed[number] = changed[number][:3] == (depth, count, name) and taps(model)[2].tolist()
    again = [taps(model)[2].tolist() for _, _, _, model in cascade(spec, 6, seed=0)]
    assert changed == again and at_depth(spec, 6, 4, seed=0) is None


def test_the_same_seed_shuffles_alike_and_another_does_not(spec):
    def shuffled(seed):
        layer = dict(weighted(load(spec)))["backbone/conv_b"]
        shuffle(layer, "backbone/conv_b", seed)
        return np.concatenate([w.reshape(-1) for w in layer.get_weights()])

    assert np.array_equal(shuffled(3), shuffled(3)) and not np.array_equal(shuffled(3), shuffled(4))


def test_a_cascade_that_was_stopped_while_a_model_was_built_begins_again(spec, monkeypatch):
    def stopped(*arguments):
        yield from islice(cascade(*arguments), 1)
        raise KeyboardInterrupt

    monkeypatch.setattr(randomised, "cascade", stopped)
    assert at_depth(spec, 3, 0, seed=5)[0] == 1
    with pytest.raises(KeyboardInterrupt):
        at_depth(spec, 3, 1, seed=5)
    monkeypatch.setattr(randomised, "cascade", cascade)
    again = at_depth(spec, 3, 1, seed=5)
    assert again is not None and again[:3] == list(islice(cascade(spec, 3, 5), 2))[1][:3]
