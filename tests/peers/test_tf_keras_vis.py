"""Our maps equal those of tf-keras-vis, raw: its resizing and min-max are switched off (`expand_cam`, `normalize_*`)."""

import numpy as np
import pytest
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore

from stages.methods import GradCam
from tests.peers.networks import case, difference

RAW = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return case(tmp_path_factory.mktemp("small"))


def cams(kind, case, layer, **options):
    """The peer's maps of all images and targets: (n, k, H, W)."""
    peer = kind(case.softmax, ReplaceToLinear())
    found = [
        peer(CategoricalScore(column.tolist()), case.received, penultimate_layer=layer, **{**RAW, **options})
        for column in case.targets.T
    ]
    return np.stack([np.asarray(maps) for maps in found], 1)


@pytest.mark.parametrize("layer", ["first", "middle", "last"])
def test_grad_cam_equals_tf_keras_vis(small, layer):
    print(difference(small.maps(GradCam(layer=layer)).values, cams(Gradcam, small, layer)))
