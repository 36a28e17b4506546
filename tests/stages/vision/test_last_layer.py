"""The last linear layer: found and proved, read, and written with other weights."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import Model, open_model
from activation_atlas.stages.vision.model.last_layer import last_layer, reader, rewritten
from tests.stages.vision import small_models
from tests.stages.vision.small_models import CLASSES, pixels

ENDS = {"linear": "predictions", "flat": "dense", "nested": "predictions", "sigmoid": None, "convolutional": None}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
def test_the_logits_are_the_layer_of_what_it_reads(name, tmp_path):
    model = small_models.opened(name, tmp_path)
    found = last_layer(model)
    assert ENDS[name] in (None, found.path.rstrip("_0123456789"))
    images = pixels(count=3).astype("uint8")
    features = reader(model, found, 4)(images)
    assert features.dtype == np.float32 and features.shape == (3, len(found.kernel))
    units = features @ found.kernel + found.bias
    logits = model.values(model.to_input(images), [model.program.output])[0].numpy()
    assert model.ends_in_one == (units.shape[1] == 1)
    np.testing.assert_allclose(units, logits[:, -units.shape[1] :], rtol=1e-4, atol=1e-5)


def ending(end) -> keras.Model:
    image = keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(image))
    return keras.Model(image, end(x))


REFUSED = {
    "two heads": (lambda x: layers.Add()([layers.Dense(3, name="a")(x), layers.Dense(3, name="b")(x)]), "several"),
    "scaled": (lambda x: layers.Rescaling(2.0)(layers.Dense(3, name="a")(x)), "what comes after a changes its values"),
    "normed": (
        lambda x: layers.BatchNormalization(name="n")(layers.Dense(3)(x)),
        "n .BatchNormalization. is no single",
    ),
    "rectified": (lambda x: layers.Dense(3, activation="relu", name="a")(x), "what comes after a changes its values"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_ends_are_refused_in_a_line(name, tmp_path):
    end, why = REFUSED[name]
    path = small_models.save(small_models.build(lambda: ending(end)), tmp_path)
    model = open_model(ModelSpec(path=path, output="logits"))
    with pytest.raises(
        UserError, match=rf"^model \S+: no layer can be fitted anew \(repair\), because .*{why}"
    ) as said:
        last_layer(model)
    assert "\n" not in str(said.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", "sequential"])
def test_a_model_is_written_with_other_weights_and_the_same_bytes(name, tmp_path):
    path = small_models.save(small_models.build(small_models.BUILDERS[name][0]), tmp_path)
    before, spec = Path(path).read_bytes(), ModelSpec(path=path)
    model: Model = open_model(spec)
    found = last_layer(model)
    rng = np.random.default_rng(0)
    kernel, bias = rng.normal(size=found.kernel.shape), rng.normal(size=found.bias.shape)
    written = rewritten(spec, found.path, kernel, bias)
    assert written == rewritten(spec, found.path, kernel, bias) and Path(path).read_bytes() == before
    (tmp_path / "new.keras").write_bytes(written)
    images = pixels(count=4).astype("uint8")
    features = reader(model, found, 4)(images)
    logits = features @ kernel + bias
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    made, old = (
        keras.models.load_model(p).predict(images.astype("float32"), verbose=0) for p in (tmp_path / "new.keras", path)
    )
    np.testing.assert_allclose(made, odds, atol=1e-5)
    assert made.shape == (4, CLASSES) and np.abs(made - old).max() > 0.01
