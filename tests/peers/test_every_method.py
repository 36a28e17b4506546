"""Every method has a test against a peer, or a reason why it has none."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

from activation_atlas.stages.vision.attribution.methods import METHODS
from activation_atlas.stages.vision.attribution.methods.eigen_cam import EigenCam
from tests.peers.networks import case

TORCH = "pytorch-grad-cam needs PyTorch, larger than all else together"
EXCEPTIONS = {
    "cam_fitted": "nobody else fits a head: a ridge regression by hand in tests/stages/vision/test_fitted_head.py",
    "xgrad_cam": f"{TORCH}: the paper's loop in tests/stages/vision/methods/test_cam.py",
    "ablation_cam": f"{TORCH}: the paper's loop in tests/stages/vision/methods/test_ablation_cam.py",
    "full_grad": f"{TORCH}: the paper's sum over explicit biases in tests/stages/vision/methods/test_full_grad.py",
    "eigen_cam": f"{TORCH}: an SVD by hand, below",
    "attention": "no peer reads a Keras transformer's attention: NumPy, tests/stages/vision/methods/test_attention.py",
    "attention_rollout": "as attention",
    "attention_gradient": "as attention; its gradients by differences there",
    "deconvnet": "xplique, which does not allow this TensorFlow: benchmarks/xplique_parity.py",
    "occlusion_segments": "no library that allows this TensorFlow: a loop over the segments, in test_by_segments.py",
    "rise": "xplique, which does not allow this TensorFlow: benchmarks/xplique_parity.py",
}
TESTED = {
    method
    for path in Path(__file__).parent.glob("test_*.py")
    for method in re.findall(r"^def test_(\w+)_equals_", path.read_text(encoding="utf-8"), re.M)
}


@pytest.mark.parametrize("name", METHODS)
def test_it_has_a_peer_or_a_reason(name):
    assert name in TESTED or name in EXCEPTIONS


def test_no_reason_is_left_over():
    assert not TESTED & set(EXCEPTIONS)
    assert TESTED | set(EXCEPTIONS) <= set(METHODS)


@pytest.mark.parametrize("center", [False, True])
def test_eigen_cam_is_the_first_singular_vector(tmp_path, same, center):
    """Up to its sign, which an SVD leaves open; pytorch-grad-cam centres, its article does not."""
    small = case(tmp_path)
    ours = small.maps(EigenCam(layer="middle", center=center)).values[:, 0]
    tapped = keras.Model(small.softmax.inputs, small.softmax.get_layer("middle").output)
    for found, activation in zip(ours, tapped(small.received).numpy().astype(np.float64), strict=True):
        matrix = activation.reshape(-1, activation.shape[-1])
        matrix = matrix - matrix.mean(0) if center else matrix
        projected = (matrix @ np.linalg.svd(matrix, full_matrices=False)[2][0]).reshape(found.shape)
        same(found, projected * np.sign((projected * found).sum()))
