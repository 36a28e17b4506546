"""The same on a real network and photographs: MobileNet 0.75, two images, predicted and second class.

In float64 on both sides. In float32 a ReLU whose input is within rounding of 0 or 6 may pass the gradient in one
library and not in the other: on one of these photographs that moved the peer's saliency by up to 1 % of its largest
value in one pixel of 200, while ours stayed within 8e-7 of the float64 map. Grad-CAM is compared in float32 too.

Of tf-explain the occlusion: it is given the network behind a layer that prepares pixels, because it hides with 127.5 in
whatever the model receives (our `fill` is of pixels too).
"""

from dataclasses import replace

import cv2
import keras
import numpy as np
import pytest
from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from tf_keras_vis.gradcam import Gradcam

from activation_atlas.stages.specs import ModelSpec
from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.images import decode_to
from activation_atlas.stages.vision.model import open_model
from tests.peers.networks import Case, headless
from tests.peers.test_tf_keras_vis import cams, gradients


@pytest.fixture(scope="module")
def opened(shared):
    path = str(shared / "models" / "mobilenet_075_224_imagenet.keras")
    spec = ModelSpec(path=path, range=(-1, 1), classes=str(shared / "models" / "imagenet_classes.txt"))
    photographs = sorted((shared / "data" / "imagenet_sample" / "images").rglob("*.jpg"))[100:300:150]
    pixels = np.stack([decode_to(path.read_bytes(), (224, 224)) for path in photographs])
    model = keras.saving.load_model(path, compile=False)
    found = model.predict(open_model(spec).to_input(pixels).numpy(), verbose=0)
    return Case(spec, model, headless(model), pixels, np.argsort(-found)[:, :2].astype(np.int32))


@pytest.fixture(scope="module")
def mobilenet(opened, tmp_path_factory):
    """The same weights in float64."""

    def widened(layer):
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})

    model = keras.models.clone_model(opened.softmax, clone_function=widened)
    model.set_weights(opened.softmax.get_weights())
    path = tmp_path_factory.mktemp("wide") / "mobilenet.keras"
    model.save(path)
    spec = opened.spec.model_copy(update={"path": str(path)})
    return replace(opened, spec=spec, softmax=model, logits=headless(model))


@pytest.mark.parametrize("layer", ["conv_pw_13_relu", "conv_pw_11_relu"])
def test_grad_cam_on_mobilenet(mobilenet, same, layer):
    same(mobilenet.maps(GradCam(layer=layer)).values, cams(Gradcam, mobilenet, layer))


def test_grad_cam_in_float32_on_mobilenet(opened, same):
    same(opened.maps(GradCam()).values, cams(Gradcam, opened, "conv_pw_13_relu"))


def test_saliency_on_mobilenet(mobilenet, same):
    peer = gradients(mobilenet, gradient_modifier=np.abs, keepdims=False)
    same(mobilenet.maps(Saliency()).values, peer)


def test_occlusion_on_mobilenet(mobilenet, same):
    found = mobilenet.maps(Occlusion(patch=45, stride=45, edges="clip"))
    image = keras.Input((224, 224, 3))
    peer = keras.Model(image, mobilenet.logits(keras.layers.Rescaling(1 / 127.5, -1)(image)))
    explain = OcclusionSensitivity(batch_size=32).get_sensitivity_map
    for i, (pixels, targets) in enumerate(zip(mobilenet.pixels, mobilenet.targets, strict=True)):
        for j, target in enumerate(targets):
            hidden = 1 - explain(peer, pixels.astype(np.float32), int(target), 45)
            ours = cv2.resize(found.values[i, j].astype(np.float64), (224, 224))
            same(ours, found.scores[i, j] - hidden)
