"""KerasHub's tasks bring their preprocessor along: an image is brought to the model as they bring it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from activation_atlas.stages.feed import at_size
from activation_atlas.stages.specs import ImagesSpec, ModelSpec
from activation_atlas.stages.vision.images import Fit
from activation_atlas.stages.vision.model import open_model
from activation_atlas.stages.vision.predicting import predict

hub = pytest.importorskip("keras_hub", reason="KerasHub is the optional extra `hub`")

STD = [0.01, 0.02, 0.03]


def task(size, **converter):
    """A small random classifier of images of any size, with the preprocessor that brings them to one."""
    backbone = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=size,
    )
    preprocessor = hub.models.ImageClassifierPreprocessor(
        image_converter=hub.layers.ImageConverter((24, 24), scale=STD, offset=[-1.0, -2.0, 0.5], **converter)
    )
    return hub.models.ImageClassifier(backbone, num_classes=5, preprocessor=preprocessor, activation="softmax")


@pytest.mark.slow
@pytest.mark.parametrize(
    "size, converter",
    [
        ((24, 24, 3), {}),
        ((None, None, 3), {"interpolation": "bicubic"}),
        ((None, None, 3), {"antialias": True, "crop_to_aspect_ratio": False}),
        ((None, None, 3), {"pad_to_aspect_ratio": True, "crop_to_aspect_ratio": False}),
    ],
)
def test_a_task_brings_its_preprocessor_along(tmp_path, size, converter):
    # Smooth: what is rounded to whole values on the way is small beside it.
    rows, cols = np.indices((60, 90))
    photo = np.stack([2 * rows, cols * 255 // 90, 128 + 100 * np.sin(rows / 7) * np.cos(cols / 9)], -1).astype(np.uint8)
    made = task(size, **converter)
    made.save(tmp_path / "task.keras")
    spec = ModelSpec(path=str(tmp_path / "task.keras"))
    opened = open_model(spec)
    assert opened.input_size == (24, 24)
    images = ImagesSpec(path="").settled(opened.brings)
    crop = "none" if converter.get("crop_to_aspect_ratio") is False else "center"
    crop, fill = ("pad", 0) if "pad_to_aspect_ratio" in converter else (crop, 128)  # Keras pads with black
    asked = (converter.get("interpolation", "bilinear"), converter.get("antialias", False), fill)
    assert Fit.of(images) == Fit(crop, 1.0, *asked)
    out = BytesIO()
    Image.fromarray(photo).save(out, "PNG")
    pixels = at_size(images, opened.input_size)(out.getvalue())
    received = np.asarray(made.preprocessor(photo[None].astype("float32")))
    # Pillow rounds once more between the two axes.
    steps = 1.01 if asked[1] else 0.51
    assert np.abs(opened.to_input(pixels[None]).numpy() - received).max() < steps * max(STD)
    _, found = predict(opened, pixels[None], 1)
    np.testing.assert_allclose(found, made(received), atol=2e-3)
    # What is said in the configuration goes before.
    said = ImagesSpec(path="", crop="pad", interpolation="nearest").settled(opened.brings)
    assert Fit.of(said) == Fit("pad", 1.0, "nearest", asked[1], fill)
    other = open_model(ModelSpec(path=spec.path, range=(0, 1)))
    assert np.allclose(other.to_input(pixels[None]), pixels[None] / 255)
