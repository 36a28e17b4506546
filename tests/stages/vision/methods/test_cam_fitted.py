"""CAM with a fitted head: the head's own where there is one, what it is told to do as well, and what is said of it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from activation_atlas.stages.explain.configured import looks, warnings
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods import METHODS, Setting
from activation_atlas.stages.vision.attribution.methods.cam_fitted import CamFitted
from activation_atlas.stages.vision.model import Model, open_model
from tests.stages.vision import small_models as small
from tests.stages.vision.methods.five import built, explained, images

METHOD = METHODS["cam_fitted"]


def fitted(model: Model, count: int, **options) -> tuple:
    """(options, configured, ready to work) on so many random images."""
    options = CamFitted(images=count, **options)
    configured = METHOD.configure(model, options, lambda n: images(model, n, 7))
    return options, configured, METHOD.build(Setting(model, options, configured, 3, 2))


def test_where_the_head_is_linear_it_is_found_again(tmp_path):
    model = small.opened("linear", tmp_path)
    pixels = images(model)
    options, configured, explain = fitted(model, 60)
    maps, own = explained(explain, pixels, [0, 2]), explained(built("cam", model), pixels, [0, 2])
    np.testing.assert_allclose(maps.values, own.values, rtol=0, atol=0.01 * np.abs(own.values).max())
    np.testing.assert_array_equal(maps.scores, own.scores)
    told = options.measured(configured)
    assert told["agreement"] == 1 and 0.9 < told["agreement_low"] < 1 and told["fitted_to"] == 60 and told["r2"] > 0.999
    assert looks(options, configured) == (
        "cam_fitted: at relu (8 x 8); the fitted head takes 100 % (94 to 100 %) of 60 images, each left out of its "
        "fit, for the class that the model does, and tells 100 % of what varies in the logits"
    )
    assert not warnings(options, configured)


def test_of_a_deep_head_the_mean_of_a_map_and_the_bias_are_the_fitted_logit(tmp_path):
    model = small.opened("deep", tmp_path)
    pixels = images(model, 3)
    _, configured, explain = fitted(model, 20, layer="mid")
    found = explain(pixels, np.array([[0, 1]] * 3, np.int32), ["a", "b", "c"])
    features = model.tap("mid")(model.to_input(pixels)).numpy().mean((1, 2))
    logits = (features @ configured["weights"] + configured["bias"])[:, :2]
    np.testing.assert_allclose(found.values.mean((2, 3)) + configured["bias"][:2], logits, rtol=1e-4)
    np.testing.assert_allclose(found.gap, logits - found.scores, rtol=0, atol=1e-5 * np.abs(logits).max())
    assert np.abs(found.gap).max() > 1e-3, "a head that is not linear is not met exactly"


def test_a_head_that_does_not_agree_is_a_warning_and_too_few_images_are_one_line(tmp_path):
    model = small.opened("residual", tmp_path)
    options, configured, _ = fitted(model, 3)
    said = {r2: looks(options, {**configured, "r2": r2}) for r2 in (0.12, -0.66, None)}
    assert said[0.12].endswith("tells 12 % of what varies in the logits") and "66" not in said[-0.66]
    assert said[-0.66].endswith("tells nothing of what varies in the logits") and "tells" not in said[None]
    assert (
        "so its maps may say little of the model: give a later layer, or more images"
        in warnings(options, configured)[-1]
    )
    with pytest.raises(UserError, match="cam_fitted: a head is fitted to 3 images or more, and here are 2; give more"):
        METHOD.configure(model, CamFitted(), lambda n: images(model, 2))


def test_learning_anew_is_what_configuring_learned(tmp_path):
    model = small.opened("linear", tmp_path)
    options, configured, _ = fitted(model, 20)
    again = METHOD.learn(model, options, configured, lambda n: images(model, n, 7))
    assert set(configured) - set(again) == {"layer", "height", "width", "place"}
    assert all(np.array_equal(again[name], configured[name]) for name in again)


@pytest.mark.slow
def test_quantities_are_of_no_class_and_each_counts_in_its_own_unit(tmp_path):
    """Metres or kilometres beside an output change nothing; of one output all images would be of one class."""
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(6, 3, strides=2, activation="relu", name="relu")(image)
    x = keras.layers.Dense(5, activation="relu")(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(image, keras.layers.Dense(2)(x))
    heads = {}
    for unit in (1.0, 1000.0):
        own = keras.models.clone_model(network)
        kernel, bias = network.layers[-1].get_weights()
        own.set_weights([*network.get_weights()[:-2], kernel * [1, unit], bias * [1, unit]])
        own.save(tmp_path / f"{unit:g}.keras")
        model = open_model(ModelSpec(path=str(tmp_path / f"{unit:g}.keras"), task="quantities"))
        options = CamFitted(layer="relu")
        heads[unit] = METHOD.configure(model, options, lambda n, model=model: images(model, 40, 7))
    plain, scaled = heads[1.0], heads[1000.0]
    assert plain["penalty"] == scaled["penalty"] and plain["r2"] == pytest.approx(scaled["r2"], rel=1e-4)
    np.testing.assert_allclose(scaled["weights"], plain["weights"] * [1, 1000], rtol=1e-3)
    assert plain["agreement"] is plain["agreement_low"] is None
    assert options.learned(plain) == (
        f"the fitted head tells {round(100 * plain['r2'])} % of what varies in the outputs of 40 images, each left "
        "out of its fit"
    )
    assert plain["r2"] > 0.5 and options.doubt(plain) is None
    assert "give a later layer" in options.doubt({**plain, "r2": 0.4}) and options.doubt({**plain, "r2": None})
