"""Our maps beside those of tf-keras-vis 0.8, raw: its resizing and min-max are switched off (`expand_cam`,
`normalize_cam`, `normalize_map`), and it explains the logit (`ReplaceToLinear`).

Exceptions, and how each is met:

- Grad-CAM++: the peer divides alpha by its sum over positions, which the paper does not, and multiplies by exp(score),
  one positive factor for an image. The division is switched off in the peer, the factor is put to our map.
- Score-CAM: the peer weighs a channel by the class's softmax output, with no baseline and no softmax over channels. Its
  `score` option is given exp(logit), which is our softmax over channels up to one factor for an image; the baseline
  cancels there. Its align-corners zoom is left as it is where the layer is of the image's size, and replaced by
  half-pixel bilinear where it is not.
- SmoothGrad: the peer's noise is unseeded, so ours is handed to it; it averages |g| unless `gradient_modifier` is None.
- Guided backprop: the peer knows `activation="relu"` of layers only, which is what the network here has; the largest
  |g| of a pixel's colours is taken here, as ours is reduced.
"""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras_vis.gradcam_plus_plus as plus_plus
import tf_keras_vis.scorecam as scorecam
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.layercam import Layercam
from tf_keras_vis.saliency import Saliency as PeerSaliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation, ReplaceToLinear
from tf_keras_vis.utils.scores import CategoricalScore

from activation_atlas.stages.vision.attribution.methods.cam import Cam, GradCam, GradCamPlusPlus, LayerCam
from activation_atlas.stages.vision.attribution.methods.gradients import Saliency
from activation_atlas.stages.vision.attribution.methods.guided import GuidedBackprop, GuidedGradCam
from activation_atlas.stages.vision.attribution.methods.hires_cam import HiResCam
from activation_atlas.stages.vision.attribution.methods.score_cam import ScoreCam
from activation_atlas.stages.vision.attribution.methods.smooth_grad import SmoothGrad, normal
from tests.peers.networks import case

LAYERS = ["first", "middle", "last"]
RAW = {"seek_penultimate_conv_layer": False, "expand_cam": False, "normalize_cam": False}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return case(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    return case(tmp_path_factory.mktemp("pooled"), kind="pooled")


def cams(kind, case, layer, **options):
    """The peer's maps of all images and targets: (n, k, H, W)."""
    peer = kind(case.softmax, ReplaceToLinear())
    found = [
        peer(CategoricalScore(column.tolist()), case.received, penultimate_layer=layer, **RAW, **options)
        for column in case.targets.T
    ]
    return np.stack([np.asarray(maps) for maps in found], 1)


def gradients(case, modifiers=(), **options):
    """The peer's gradients of all images and targets, before any reduction: (n, k, h, w, c)."""
    peer = PeerSaliency(case.softmax, [*modifiers, ReplaceToLinear()])
    settings = {"keepdims": True, "gradient_modifier": None, "normalize_map": False, **options}
    found = [peer(CategoricalScore(column.tolist()), case.received, **settings) for column in case.targets.T]
    return np.stack(found, 1)


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_equals_tf_keras_vis(small, same, layer):
    same(small.maps(GradCam(layer=layer)).values, cams(Gradcam, small, layer))


def test_cam_equals_tf_keras_vis(pooled, same):
    """Where the head is linear, ReLU(CAM) is Grad-CAM times the number of positions."""
    found = pooled.maps(Cam(layer="last")).values
    assert found.min() < 0, "a case in which the ReLU does something"
    same(np.maximum(found, 0), cams(Gradcam, pooled, "last") * found[0, 0].size)


class Undivided:
    """The Keras backend as the peer's Grad-CAM++ uses it; but of its three sums that keep their dimensions (of
    activations, alpha, weights) that of alpha, by which alpha is divided, is one."""

    def __init__(self, backend):
        self._backend, self.kept = backend, 0

    def sum(self, x, axis, keepdims=False):
        self.kept += keepdims
        found = self._backend.sum(x, axis=axis, keepdims=keepdims)
        return tf.ones_like(found) if keepdims and self.kept % 3 == 2 else found

    def relu(self, x):
        return self._backend.relu(x)


@pytest.mark.parametrize("layer", LAYERS)
def test_grad_cam_plus_plus_equals_tf_keras_vis(small, same, monkeypatch, layer):
    found = small.maps(GradCamPlusPlus(layer=layer))
    divided = cams(GradcamPlusPlus, small, layer)
    monkeypatch.setattr(plus_plus, "K", Undivided(plus_plus.K))
    undivided = cams(GradcamPlusPlus, small, layer)
    assert np.abs(divided / divided.max() - undivided / undivided.max()).max() > 0.01, "the division does something"
    same(found.values, undivided / np.exp(found.scores.astype(np.float64))[:, :, None, None])


@pytest.mark.parametrize("layer", LAYERS)
def test_layer_cam_equals_tf_keras_vis(small, same, layer):
    same(small.maps(LayerCam(layer=layer)).values, cams(Layercam, small, layer))


@pytest.mark.parametrize("layer", LAYERS)
def test_hires_cam_equals_tf_keras_vis(small, same, layer):
    """The peer's Layer-CAM without its two ReLUs."""
    found = small.maps(HiResCam(layer=layer)).values
    assert found.min() < 0, "a case in which the ReLUs would do something"
    same(found, cams(Layercam, small, layer, gradient_modifier=None, activation_modifier=None))


def score_cams(case, layer, **options):
    """The peer's Score-CAM with weight exp(logit) for each channel, one image at a time: (n, k, H, W)."""
    found = []
    for x, targets in zip(case.received, case.targets, strict=True):
        for target in targets:
            # A softmax over (logit, 0) is (p, 1 - p), and p / (1 - p) is exp(logit).
            logit = case.logits.output[:, int(target), None]
            model = tf.keras.Model(case.logits.inputs, tf.keras.ops.concatenate([logit, logit * 0], 1))
            peer = Scorecam(model)
            found.append(peer(lambda p: p[:, 0] / p[:, 1], x[None], penultimate_layer=layer, **RAW, **options)[0])
    return np.stack(found).reshape(*case.targets.shape, *found[0].shape)


def half_pixel(values, factor, order, mode):
    """Stands for the peer's `zoom`."""
    size = [round(n * f) for n, f in zip(values.shape, factor, strict=True)][1:3]
    return tf.image.resize(values, size).numpy()


@pytest.mark.parametrize(("layer", "channels"), [("first", None), ("middle", None), ("middle", 5)])
def test_score_cam_equals_tf_keras_vis(small, same, monkeypatch, layer, channels):
    found = small.maps(ScoreCam(layer=layer, channels=channels), stretched=True).values
    if layer != "first":
        monkeypatch.setattr(scorecam, "zoom", half_pixel)
    peers = score_cams(small, layer, max_N=channels)
    top = [maps.max((2, 3), keepdims=True) for maps in (found, peers)]
    same(found / top[0], peers / top[1])


def test_saliency_equals_tf_keras_vis(small, same):
    peer = gradients(small, gradient_modifier=np.abs, keepdims=False)
    same(small.maps(Saliency()).values, peer)


@pytest.mark.parametrize("statistic", ["mean", "squared", "variance"])
def test_smooth_grad_equals_tf_keras_vis(small, same, monkeypatch, statistic):
    options = SmoothGrad(samples=12, noise=0.15, statistic=statistic)
    (seeds,) = small.explain(options).jobs(small.ids)
    ours = np.stack([normal(tf.constant(own), small.received.shape[1:]).numpy() for own in seeds], 1)
    drawn = []

    def draw(mean, deviation, shape):
        assert shape == ours.shape and mean == 0
        drawn.append(1)
        return ours * np.asarray(deviation)

    monkeypatch.setattr(np.random, "normal", draw)
    settings = {"smooth_samples": 12, "smooth_noise": 0.15}
    mean, square = (gradients(small, gradient_modifier=f, **settings) for f in (None, tf.square))
    assert drawn
    expected = {"mean": np.abs(mean), "squared": square, "variance": square - mean**2}[statistic]
    same(small.maps(options).values, expected.max(-1))


def test_guided_backprop_equals_tf_keras_vis(small, same):
    peer = np.abs(gradients(small, [GuidedBackpropagation()])).max(-1)
    assert np.abs(peer - np.abs(gradients(small)).max(-1)).max() > 0.1 * peer.max(), "the rule does something"
    same(small.maps(GuidedBackprop()).values, peer)


def test_guided_grad_cam_equals_tf_keras_vis(small, same):
    """The product of two of the peer's maps; it has none of its own."""
    fine = np.abs(gradients(small, [GuidedBackpropagation()])).max(-1)
    coarse = cams(Gradcam, small, "middle")
    large = tf.image.resize(coarse.reshape(-1, *coarse.shape[2:], 1), fine.shape[2:]).numpy()
    same(small.maps(GuidedGradCam(layer="middle"), stretched=True).values, fine * large.reshape(fine.shape))
