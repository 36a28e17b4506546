"""ROAD beside Quantus 0.6, whose noise is unseeded: left out on both sides.

Its metric flattens a map to as many numbers as the image has, so that only images of one channel are indexed as meant:
the whole metric is compared on these, what is filled in on colours too.
"""

import keras
import numpy as np
import pytest
import quantus
from keras import layers
from quantus.functions.perturb_func import noisy_linear_imputation

from activation_atlas.stages.specs import ModelSpec
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
