"""Our maps beside those of tf-explain 0.3, before its display. It explains the model's output, so it is given the
logits; its occlusion hides with 127.5 in whatever the model receives, so the models here receive [0, 255].

Its SmoothGrad differentiates a cross-entropy and its display takes absolute values to 8 bits: neither is compared.
"""

import cv2
import keras
import numpy as np
import pytest
from tf_explain.core.grad_cam import GradCAM
from tf_explain.core.gradients_inputs import GradientsInputs
from tf_explain.core.integrated_gradients import IntegratedGradients as PeerIntegrated
from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
from tf_explain.core.vanilla_gradients import VanillaGradients

from activation_atlas.stages.vision.attribution.methods.cam import GradCam
from activation_atlas.stages.vision.attribution.methods.gradients import GradientXInput, Saliency
from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion
from activation_atlas.stages.vision.attribution.methods.path import IntegratedGradients
from tests.peers.networks import SIZE, case


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return case(tmp_path_factory.mktemp("small"))


def each(case, explain):
    """``explain(images (n, ...), target)`` of one image and target at a time: (n, k, ...)."""
    found = [
        [np.asarray(explain(x[None], int(target)))[0] for target in targets]
        for x, targets in zip(case.received, case.targets, strict=True)
    ]
    return np.array(found)


@pytest.mark.parametrize("patch", [8, 7])
def test_occlusion_equals_tf_explain(small, same, patch):
    """The peer's windows follow one another and are cut off at the border; its value is 1 - score, enlarged by OpenCV
    to the image's size: ours is brought there, the score without a window taken off."""
    found = small.maps(Occlusion(patch=patch, stride=patch, edges="clip"))
    peer = each(
        small,
        lambda x, target: [OcclusionSensitivity(batch_size=16).get_sensitivity_map(small.logits, x[0], target, patch)],
    )
    flat = found.values.reshape(-1, *found.values.shape[2:]).astype(np.float64)
    ours = np.stack([cv2.resize(values, (SIZE, SIZE)) for values in flat]).reshape(peer.shape)
    same(ours, peer - 1 + found.scores[:, :, None, None])


def test_gradient_x_input_equals_tf_explain(small, same):
    peer = each(small, lambda x, target: GradientsInputs.compute_gradients(x, small.logits, target))
    same(small.maps(GradientXInput()).values, peer.sum(-1))


def test_saliency_equals_tf_explain(small, same):
    peer = each(small, lambda x, target: VanillaGradients.compute_gradients(x, small.logits, target))
    same(small.maps(Saliency()).values, np.abs(peer).max(-1))


def test_grad_cam_equals_tf_explain(small, same):
    """Without its default `use_guided_grads`, which is no Grad-CAM; the ReLU is left to its display."""

    def explain(x, target):
        filters, gradients = GradCAM.get_gradients_and_filters(small.logits, x, "middle", target, False)
        return GradCAM.generate_ponderated_output(filters, gradients)

    same(small.maps(GradCam(layer="middle")).values, np.maximum(each(small, explain), 0))


@pytest.mark.parametrize(("baseline", "values"), [("zero", (-1, 1)), ("black", (-1, 1)), ("black", (0, 255))])
def test_integrated_gradients_equals_tf_explain(tmp_path, same, baseline, values):
    """The peer takes the plain mean over n + 1 points from zero to the image, and leaves out the factor x - x'; the
    trapezoid over n intervals is that mean with its two ends at half weight. To begin at black it is given the distance
    from black, and a layer that takes it back."""
    small, steps = case(tmp_path, values), 10
    start = values[0] if baseline == "black" else 0
    image = keras.Input((SIZE, SIZE, 3))
    peer = keras.Model(image, small.logits(keras.layers.Rescaling(1, start)(image)))
    ours = small.maps(IntegratedGradients(steps=steps, baseline=baseline)).values
    for i, targets in enumerate(small.targets):
        x = small.received[i : i + 1] - start
        points = PeerIntegrated.generate_interpolations(x, steps + 1).astype(np.float32)
        for j, target in enumerate(map(int, targets)):
            mean = PeerIntegrated.get_integrated_gradients(points, peer, target, steps + 1).numpy()
            first, last = VanillaGradients.compute_gradients(points[[0, -1]], peer, target).numpy()
            same(ours[i, j], (((steps + 1) * mean[0] - (first + last) / 2) / steps * x[0]).sum(-1))
