"""ROAD, the randomisation check and its smooth form, complexity and sparseness beside Quantus 0.6.

Its noise is unseeded: in ROAD it is left out on both sides. Its ROAD flattens a map to as many numbers as the image
has, so that only images of one channel are indexed as meant: the whole metric is compared on these, what is filled in
on colours too.
"""

from itertools import cycle

import keras
import numpy as np
import pytest
import quantus
import tensorflow as tf
from keras import layers
from quantus.functions.perturb_func import noisy_linear_imputation

from activation_atlas.stages.evaluate.spread import complexity, sparseness
from activation_atlas.stages.sanity.randomization import stayed
from activation_atlas.stages.sanity.smooth import averaged, copies
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods import Maps
from activation_atlas.stages.vision.attribution.pixels import draw, order
from activation_atlas.stages.vision.attribution.road import PERCENT, Road, filled
from activation_atlas.stages.vision.model import open_model


@pytest.mark.parametrize("percent", PERCENT)
def test_road_fills_in_as_quantus_does(same, percent):
    pixels = np.random.default_rng(0).integers(0, 256, (13, 17, 3)).astype(np.uint8)
    ranks = order(draw("0a", 0, (13, 17)), draw("0b", 0, (13, 17)))
    hidden = ranks < ranks.size * percent // 100
    channels_first = pixels.astype(np.float64).transpose(2, 0, 1)
    peer = noisy_linear_imputation(channels_first, np.flatnonzero(hidden), noise=0.0)
    same(filled(pixels, hidden), peer.transpose(1, 2, 0), 1e-9)


def test_the_accuracy_of_road_is_that_of_quantus(tmp_path):
    """Of the class predicted at first, by percentage: an untrained network, whose prediction does change."""
    keras.utils.set_random_seed(3)
    image = x = keras.Input((16, 16, 1))
    x = layers.Conv2D(6, 3, activation="relu")(layers.Rescaling(1 / 255)(x))
    built = keras.Model(image, layers.Dense(5, activation="softmax")(layers.Flatten()(x)))
    built.save(tmp_path / "grey.keras")
    ours = Road(open_model(ModelSpec(path=str(tmp_path / "grey.keras"))), 14)
    pixels = np.random.default_rng(1).integers(0, 256, (12, 16, 16, 1)).astype(np.uint8)
    first = built.predict(pixels.astype("float32"), verbose=0).argmax(-1)
    maps = np.stack([draw(f"{k:02x}", 5, (16, 16)) for k in range(len(pixels))])
    read = np.stack([ours(image, order(values, values), None)[0] for image, values in zip(pixels, maps, strict=True)])
    metric = quantus.ROAD(percentages=list(PERCENT), noise=0.0, normalise=False, disable_warnings=True)
    given = {"x_batch": pixels.astype("float32"), "y_batch": first, "a_batch": maps[:, None]}
    peer = metric(model=built, channel_first=False, batch_size=12, **given)
    accuracy = (read.argmax(-1) == first[:, None]).mean(0)
    assert accuracy.tolist() == [peer[percent] for percent in PERCENT]
    assert 0 < accuracy.min() < 1, "where nothing changes, nothing is compared"


@pytest.fixture(scope="module")
def small():
    """A network of grey images (of these Quantus keeps the axes apart), and images in the middle of the range."""
    keras.utils.set_random_seed(3)
    image = x = keras.Input((10, 10, 1))
    x = layers.Conv2D(4, 3, activation="tanh")(layers.Rescaling(1 / 255)(x))
    built = keras.Model(image, layers.Dense(3)(layers.Flatten()(layers.Conv2D(3, 3, activation="tanh")(x))))
    return built, np.random.default_rng(0).integers(100, 156, (5, 10, 10, 1)).astype(np.uint8)


def gradient_x_input(model, inputs, targets, **kwargs):
    """(n, 10, 10, 1), whatever the order of its axes was."""
    x = tf.Variable(np.asarray(inputs, np.float32).reshape(-1, 10, 10, 1))
    with tf.GradientTape() as tape:
        score = tf.gather(model(x), np.asarray(targets, int), axis=1, batch_dims=1)
    return (tape.gradient(score, x) * x).numpy().reshape(np.shape(inputs))


class Watched:
    """Gradient x input, and the weights of every model it was asked of, the true one first.

    Quantus' models cannot be had again: the layers it has not come to yet are drawn anew, unseeded.
    """

    def __init__(self, built):
        self.built, self.weights = built, [built.get_weights()]

    def __call__(self, model, inputs, targets, **kwargs):
        now = model.get_weights()
        if not any(all(map(np.array_equal, now, known)) for known in self.weights):
            self.weights.append(now)
        return gradient_x_input(model, inputs, targets)

    def models(self):
        model = keras.models.clone_model(self.built)
        for weights in self.weights:
            model.set_weights(weights)
            yield model


@pytest.mark.parametrize("signed", [True, False])
def test_the_cascade_is_that_of_quantus(same, small, signed):
    built, pixels = small
    targets = np.arange(5) % 3
    metric, watched = quantus.MPRT(abs=not signed, disable_warnings=True), Watched(built)
    given = {"x_batch": pixels.astype("float32"), "y_batch": targets, "a_batch": None}
    peer = metric(model=built, channel_first=False, explain_func=watched, **given)
    first, *others = (gradient_x_input(model, pixels, targets) for model in watched.models())
    assert len(others) == len(peer) - 1 == 3
    for then, scores in zip(others, [scores for name, scores in peer.items() if name != "original"], strict=True):
        kept = [stayed(a, b, True) for a, b in zip(first, then, strict=True)]
        same(np.array([row["correlation" if signed else "correlation_abs"] for row in kept]), np.array(scores))


def test_the_smooth_form_is_that_of_quantus(same, small, monkeypatch):
    """The noise is ours, which Quantus does not seed: it draws for each copy but the last, which is the image."""
    built, pixels = small
    ids, targets, count = [f"{k:02x}" for k in range(5)], np.arange(5) % 3, 6
    drawn = np.stack([np.stack(list(copies(p, i, 0, count))[1:]) for i, p in zip(ids, pixels, strict=True)], 1)
    deviation = 0.1 * np.ptp(pixels, (1, 2, 3)).astype(float)[:, None, None, None]
    again = cycle((drawn.astype(float) - pixels) / deviation)
    monkeypatch.setattr(np.random, "randn", lambda *shape: next(again).reshape(shape))
    watched = Watched(built)
    monkeypatch.setattr(quantus, "explain", watched)
    metric = quantus.SmoothMPRT(nr_samples=count, layer_order="top_down", disable_warnings=True)
    given = {"x_batch": pixels.astype("float32"), "y_batch": targets, "a_batch": None}
    peer = metric(model=built, channel_first=False, explain_func=watched, **given)

    def smooth(model):
        def explain(pixels, targets, ids):
            values = gradient_x_input(model, pixels, targets[:, 0])[..., 0]
            return Maps(values[:, None], np.zeros((len(pixels), 1), np.float32))

        return averaged(explain, dict(zip(ids, pixels, strict=True)), dict(zip(ids, targets, strict=True)), 0, count, 4)

    first, *others = [smooth(model) for model in watched.models()]
    plain = gradient_x_input(built, pixels, targets)
    for then, scores in zip(others, [scores for name, scores in peer.items() if name != "original"], strict=True):
        same(np.array([stayed(first[i], then[i], True)["correlation_abs"] for i in ids]), np.array(scores))
    assert np.abs(np.stack([first[i] for i in ids]) - plain[..., 0]).max() > 1e-3, "it is another map"


def test_complexity_and_sparseness_equal_quantus(same):
    """Quantus adds 1e-12 and 1e-7 to what it takes the logarithm of, or sorts."""
    maps = np.random.default_rng(0).normal(size=(6, 1, 10, 10)) ** 3
    given = {"model": None, "x_batch": np.zeros((6, 1, 10, 10)), "y_batch": np.zeros(6, int), "a_batch": maps}
    for ours, peer, within in ((complexity, quantus.Complexity, 1e-8), (sparseness, quantus.Sparseness, 1e-5)):
        told = peer(disable_warnings=True)(**given)
        same(np.array([ours(values) for values in maps]), np.array(told), within)
