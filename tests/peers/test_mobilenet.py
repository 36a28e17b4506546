"""The same on a real network and photographs: MobileNet 0.75, two images, predicted and second class.

Of tf-explain the occlusion: it is given the network behind a layer that prepares pixels, because it hides with 127.5 in
whatever the model receives (our `fill` is of pixels too).
"""

import cv2
import keras
import numpy as np
import pytest
from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from tf_keras_vis.gradcam import Gradcam

from stages.methods import GradCam, Occlusion, Saliency
from stages.specs import ModelSpec
from stages.vision.images import decode_to
from stages.vision.model import open_model
from tests.peers.networks import Case, headless
from tests.peers.test_tf_keras_vis import cams, gradients


@pytest.fixture(scope="module")
def mobilenet(shared):
    path = str(shared / "models" / "mobilenet_075_224_imagenet.keras")
    spec = ModelSpec(path=path, range=(-1, 1), classes=str(shared / "models" / "imagenet_classes.txt"))
    photographs = sorted((shared / "data" / "imagenet_sample" / "images").rglob("*.jpg"))[100:300:150]
    pixels = np.stack([decode_to(path.read_bytes(), (224, 224)) for path in photographs])
    model = keras.saving.load_model(path, compile=False)
    found = model.predict(open_model(spec).to_input(pixels).numpy(), verbose=0)
    return Case(spec, model, headless(model), pixels, np.argsort(-found)[:, :2].astype(np.int32))


@pytest.mark.parametrize("layer", ["conv_pw_13_relu", "conv_pw_11_relu"])
def test_grad_cam_on_mobilenet(mobilenet, same, layer):
    same(mobilenet.maps(GradCam(layer=layer)).values, cams(Gradcam, mobilenet, layer))


def test_saliency_on_mobilenet(mobilenet, same):
    peer = gradients(mobilenet, gradient_modifier=np.abs, keepdims=False)
    same(mobilenet.maps(Saliency()).values, peer)


def test_occlusion_on_mobilenet(mobilenet, same):
    found = mobilenet.maps(Occlusion(patch=32, stride=32, edges="clip"))
    image = keras.Input((224, 224, 3))
    peer = keras.Model(image, mobilenet.logits(keras.layers.Rescaling(1 / 127.5, -1)(image)))
    explain = OcclusionSensitivity(batch_size=32).get_sensitivity_map
    for i, (pixels, targets) in enumerate(zip(mobilenet.pixels, mobilenet.targets, strict=True)):
        for j, target in enumerate(targets):
            hidden = 1 - explain(peer, pixels.astype(np.float32), int(target), 32)
            ours = cv2.resize(found.values[i, j].astype(np.float64), (224, 224))
            same(ours, found.scores[i, j] - hidden)
