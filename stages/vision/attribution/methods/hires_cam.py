"""HiResCAM and XGrad-CAM: Grad-CAM's kin whose maps add up to what the layer adds to the logit, to first order."""

from __future__ import annotations

from typing import Literal

from activation_atlas.stages.tables.flags import ROUNDING
from activation_atlas.stages.vision.attribution.methods.cam import ChannelMaps, configure, weighted
from activation_atlas.stages.vision.attribution.methods.method import AtLayer, Explain, Method, Setting
from activation_atlas.stages.vision.lazy import tf


class HiResCam(AtLayer):
    name: Literal["hires_cam"] = "hires_cam"


class XGradCam(AtLayer):
    name: Literal["xgrad_cam"] = "xgrad_cam"


def hires_cam(setting: Setting) -> Explain:
    """sum_k g_k A_k, g_k = d logit / d A_k at each position (Draelos & Carin 2020), signed."""
    return ChannelMaps(setting, weighted)


def xgrad_cam(setting: Setting) -> Explain:
    """sum_k w_k A_k, w_k = sum over positions of g_k A_k / sum over positions of A_k (Fu et al. 2020), signed.

    The weights that the paper derives from its two axioms; where they are met the map's sum is that of g A. A channel
    whose sum is nothing, or rounding, has no weight: of a ReLU's it is zero everywhere.
    """
    return ChannelMaps(setting, lambda a, g: weighted(a, _share_of_sum(a, g)))


def _share_of_sum(activation: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """(n, k, 1, 1, C): the mean of the gradient with the activations as weights."""
    if gradient.shape[2:4] == (1, 1):
        return gradient
    total = tf.reduce_sum(activation, (2, 3), keepdims=True)
    told = tf.abs(total) > ROUNDING * tf.reduce_sum(tf.abs(activation), (2, 3), keepdims=True)
    added = tf.reduce_sum(gradient * activation, (2, 3), keepdims=True)
    return tf.math.divide_no_nan(added, tf.where(told, total, 0))


METHODS = (
    Method(
        name="hires_cam",
        title="HiResCAM",
        about="a layer's activations, weighted one by one by the logit's gradient",
        meaning="what each position of the layer adds to the class’s logit, to first order",
        formula="sum_k g_k A_k, g_k = d logit / d A_k at each position",
        source="Draelos & Carin 2020",
        options=HiResCam,
        build=hires_cam,
        configure=configure,
        resolution="layer",
        grain="smooth",
        signed=True,
        needs=("gradient",),
    ),
    Method(
        name="xgrad_cam",
        title="XGrad-CAM",
        about="channels of a layer, weighted by the logit's mean gradient where they are active",
        meaning="where the layer’s channels are active that raise or lower the class’s logit there",
        formula="sum_k w_k A_k, w_k = sum over positions of g_k A_k / sum over positions of A_k, g_k = d logit / d A_k",
        source="Fu, Hu, Dong, Guo, Gao & Li 2020",
        options=XGradCam,
        build=xgrad_cam,
        configure=configure,
        resolution="layer",
        grain="smooth",
        signed=True,
        needs=("gradient",),
    ),
)
