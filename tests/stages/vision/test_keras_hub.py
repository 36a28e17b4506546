"""Models of KerasHub, small and drawn at random: files as they are, blocks opened, tokens as maps."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from activation_atlas.stages import saved
from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import open_model
from activation_atlas.stages.vision.model.loading import load
from tests.stages.vision.transformers import opened

pytestmark = pytest.mark.slow
SIZE, SMALL = 32, {"num_layers": 2, "num_heads": 2, "hidden_dim": 16}


@pytest.fixture(scope="module")
def models():
    return pytest.importorskip("keras_hub", reason="KerasHub is optional: pip install 'activation-atlas[hub]'").models


def vit(models) -> keras.Model:
    backbone = models.ViTBackbone((SIZE, SIZE, 3), patch_size=8, mlp_dim=32, **SMALL)
    return models.ViTImageClassifier(backbone, num_classes=3, activation="softmax")


def deit(models) -> keras.Model:
    backbone = models.DeiTBackbone((SIZE, SIZE, 3), patch_size=8, intermediate_dim=32, **SMALL)
    return models.DeiTImageClassifier(backbone, num_classes=3, activation="softmax")


def dinov2(models) -> keras.Model:
    """A backbone with registers in a model of one's own, called with a dictionary."""
    shapes = {"image_shape": (SIZE, SIZE, 3), "position_embedding_shape": (64, 64)}
    backbone = models.DINOV2Backbone(
        8, intermediate_dim=32, num_register_tokens=3, use_swiglu_ffn=True, name="trunk", **shapes, **SMALL
    )
    image = keras.Input((SIZE, SIZE, 3))
    return keras.Model(image, keras.layers.Dense(3, activation="softmax")(backbone({"images": image})[:, 0]))


def swin(models) -> keras.Model:
    backbone = models.SwinTransformerBackbone((SIZE, SIZE, 3), 8, (1, 1), (2, 2), window_size=4, patch_size=2)
    return models.SwinTransformerImageClassifier(backbone, num_classes=3, activation="softmax")


CASES = {  # tokens beside the map, a layer inside an opened block, its height
    vit: (1, "vit_encoder/transformer_block_2/mha", 4),
    deit: (2, "deit_encoder/transformer_block_1/mlp/", 4),
    dinov2: (4, "layers_1/attention/attention", 4),
    swin: (0, "stage_1", 8),
}


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__)
def test_a_file_opens_as_it_is_and_its_tokens_are_maps(build, models, tmp_path):
    beside, inside, height = CASES[build]
    keras_model = build(models)
    model = opened(keras_model, tmp_path)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, SIZE, SIZE, 3)).astype("float32")
    logits = model.forward()(tf.constant(pixels))[1]
    np.testing.assert_allclose(model.probabilities(logits), keras_model(pixels), atol=1e-5)
    (info, *_) = [info for info in model.layers() if inside in info.name]
    assert (info.height, info.width, info.beside) == (height, height, beside)
    assert model.placed(info.name).covers == (0, 0, SIZE, SIZE)
    tensors = model.trunk(info.name)(tf.constant(pixels))
    np.testing.assert_allclose(model.head(info.name)(tensors), logits, atol=1e-5)


def test_a_layer_that_only_opening_finds_is_not_refused_before(models, tmp_path):
    keras_model = dinov2(models)
    keras_model.save(tmp_path / "model.keras")
    known = saved.layers(saved.description(str(tmp_path / "model.keras")).config)
    assert known[:2] == ["trunk", "trunk/"] and not any(name.endswith("/") for name in known[2:])


def test_a_file_without_kerashub_says_what_to_install(models, tmp_path, monkeypatch):
    vit(models).save(path := tmp_path / "model.keras")
    monkeypatch.setattr(saved.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        "activation_atlas.stages.vision.model.loading._keras3", lambda path: (_ for _ in ()).throw(TypeError("no"))
    )
    with pytest.raises(UserError, match=r"needs keras-hub for \w+: pip install 'activation-atlas\[hub\]'$"):
        load(ModelSpec(path=str(path)))
    with zipfile.ZipFile(path) as file:
        assert "keras_hub" in json.loads(file.read("config.json"))["module"]


def test_a_preset_that_cannot_be_fetched_is_one_line(models):
    with pytest.raises(
        UserError,
        match=r"^model.preset: /nowhere/vit cannot be fetched, or loaded .* save it where there is one",
    ):
        load(ModelSpec(preset="/nowhere/vit"))


def test_the_real_transformer_is_its_own_and_its_blocks_are_maps(models, shared):
    path = str(shared / "models" / "cifar10_vits14_keras_hub.keras")
    keras_model = keras.saving.load_model(path, compile=False)
    model = open_model(ModelSpec(path=path))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    logits = model.forward()(tf.constant(pixels))[1]
    np.testing.assert_allclose(model.probabilities(logits), keras_model(pixels), atol=1e-5)
    blocks = [info for info in model.layers() if re.fullmatch(r"dinov2_vits14/\w+_encoder/layers_\d+", info.name)]
    assert len(blocks) == 12 and {(b.height, b.width, b.channels, b.beside) for b in blocks} == {(8, 8, 384, 1)}
    # Its fourth block as KerasHub gives it, of the image as the backbone receives it.
    backbone = keras_model.get_layer("dinov2_vits14")
    fourth = keras.Model(backbone.inputs, backbone.pyramid_outputs["stage4"])
    before = keras.Model(keras_model.input, keras_model.get_layer("normalise").output)(pixels)
    expected = np.asarray(fourth({"images": before}))[:, 1:].reshape(2, 8, 8, 384)
    maps, _ = model.forward([blocks[3].name])(tf.constant(pixels))
    np.testing.assert_allclose(maps[blocks[3].name], expected, atol=1e-3 * np.abs(expected).max())
    assert model.placed(blocks[3].name).stride == (4, 4)
