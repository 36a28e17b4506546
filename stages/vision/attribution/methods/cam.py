"""Grad-CAM and its kin: the maps of a layer's channels, weighted by what the target's logit says of them.

One forward pass through the trunk without a tape, then the head: under a tape for each target, or, where the head is
affine, no backward pass at all, because its Jacobian is the same for every image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.method import (
    AtLayer,
    Configured,
    Explain,
    Maps,
    Method,
    Sample,
    Setting,
)
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

Weigh = Callable[["tf.Tensor", "tf.Tensor"], "tf.Tensor"]
"""Activations (n, 1, H, W, C) and gradients (n, k, H, W, C), or (n, k, 1, 1, C) where all positions have the same,
to maps (n, k, H, W)."""


class GradCam(AtLayer):
    name: Literal["grad_cam"] = "grad_cam"


class GradCamPlusPlus(AtLayer):
    name: Literal["grad_cam_plus_plus"] = "grad_cam_plus_plus"


class LayerCam(AtLayer):
    name: Literal["layer_cam"] = "layer_cam"


class Cam(AtLayer):
    name: Literal["cam"] = "cam"


def at_layer(model: Model, options: Any, sample: Sample) -> Configured:
    """The layer, its size and its place; ``tokens`` where it is the patch embedding of a transformer.

    Raises:
        UserError: no such layer, it has no positions, or numbers show them elsewhere than the graph does.
    """
    from activation_atlas.stages.vision.attribution.default_layer import before_tokens, default_layer

    info = model.placed(options.layer or default_layer(model))
    at = {"layer": info.name, "height": info.height, "width": info.width, "place": info.place.row()}
    return at | ({"tokens": True} if before_tokens(model, info.name) else {})


def configure(model: Model, options: Any, sample: Sample) -> Configured:
    """The layer, its size, and whether the head behind it is affine.

    Raises:
        UserError: no such layer, it has no positions, or no gradient reaches it.
    """
    from activation_atlas.stages.vision.attribution.gradient_path import require_gradient

    at = at_layer(model, options, sample)
    require_gradient(model, model.slot(at["layer"]), f"layer {at['layer']}")
    return {**at, "affine": is_affine_from(model, at["layer"])}


def is_affine_from(model: Model, layer: str) -> bool:
    """Whether the logits are affine in a layer's output."""
    from activation_atlas.stages.vision.attribution.affine import is_affine

    natives = {model.native[i] for step in model.program.after(model.slot(layer)) for i in step.outputs}
    return bool(is_affine(model.head(layer), _shapes(model, layer), model.dtype, natives))


def configure_linear(model: Model, options: Any, sample: Sample) -> Configured:
    """As :func:`configure`, for a method that has a meaning only where the head is affine.

    Raises:
        UserError: it is not.
    """
    configured = configure(model, options, sample)
    if not configured["affine"]:
        raise UserError(
            f"cam: between layer {configured['layer']} and the logits model {model.name} is not linear, so a class has "
            "no weights of its own for the layer's channels; use grad_cam, which is the same where it is, or cam_fitted"
        )
    return configured


def _shapes(model: Model, layer: str) -> list[tuple]:
    slot = model.slot(layer)
    return [model.shapes[i][1:] for i in (slot, *model.program.frontier(slot))]


class ChannelMaps:
    """A method of this family at work."""

    def __init__(self, setting: Setting, weigh: Weigh) -> None:
        from activation_atlas.stages.vision.attribution.affine import jacobian
        from activation_atlas.stages.vision.model import freeze

        model, layer = setting.model, setting.configured["layer"]
        self.model, self.batch, self.weigh = model, setting.batch, weigh
        self.trunk, self.head = model.trunk(layer), model.head(layer)
        self.size = (setting.configured["height"], setting.configured["width"])
        matrix = None
        if setting.configured["affine"]:
            scores = lambda tensors: model.scores(self.head(tensors))  # noqa: E731
            matrix = jacobian(scores, _shapes(model, layer), len(model.classes), model.dtype)
        # (K, 1 or H * W, C): what an image needs of it are rows. Given to the graph, which would else hold a copy.
        self.rows = [] if matrix is None else [tf.constant(matrix.transpose(2, 0, 1))]
        pixels = tf.TensorSpec((setting.batch, *model.input_size, model.channels), tf.uint8)
        targets = tf.TensorSpec((setting.batch, setting.targets), tf.int32)
        self.apply = freeze(self._apply, pixels, targets, *(tf.TensorSpec(x.shape, x.dtype) for x in self.rows))

    def _apply(self, pixels: tf.Tensor, targets: tf.Tensor, *rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        activation, *rest = self.trunk(self.model.to_input(pixels))
        if rows:
            scores = self._scores([activation, *rest], targets)
            gradient = self._by_rows(rows[0], targets)
        else:
            scores, gradient = self._by_tape(activation, rest, targets)
        maps = self.weigh(activation[:, None], gradient)
        return tf.cast(maps, tf.float32), tf.cast(scores, tf.float32)

    def _scores(self, tensors: Sequence[tf.Tensor], targets: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.model.scores(self.head(tensors)), targets, axis=1, batch_dims=1)

    def _by_rows(self, rows: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        size = self.size if rows.shape[1] > 1 else (1, 1)
        return tf.reshape(tf.gather(rows, targets), (*targets.shape, *size, rows.shape[2]))

    def _by_tape(self, activation: tf.Tensor, rest: Sequence[tf.Tensor], targets: tf.Tensor) -> tuple:
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(activation)
            scores = self._scores([activation, *rest], targets)
            each = tf.unstack(scores, axis=1)
        return scores, tf.stack([tape.gradient(score, activation) for score in each], 1)

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        count = len(pixels)
        batch = self.apply(
            tf.constant(padded(pixels, self.batch)), tf.constant(padded(targets, self.batch)), *self.rows
        )
        maps, scores = (x.numpy()[:count] for x in batch)
        return Maps(maps, scores)


def grad_cam(setting: Setting) -> Explain:
    """ReLU(sum_k w_k A_k), w_k = mean over positions of d logit / d A_k (Selvaraju et al. 2017, eq. 1 and 2)."""
    return ChannelMaps(setting, lambda a, g: tf.nn.relu(weighted(a, tf.reduce_mean(g, (2, 3), keepdims=True))))


def grad_cam_plus_plus(setting: Setting) -> Explain:
    """ReLU(sum_k w_k A_k), w_k = sum over positions of alpha ReLU(g), alpha = g^2 / (2 g^2 + g^3 sum(A_k)).

    Chattopadhay et al. 2018, eq. 9 to 19, for the logit itself: the paper's exp(logit) is one factor per image.
    """
    return ChannelMaps(setting, lambda a, g: tf.nn.relu(weighted(a, _plus_plus_weights(a, g))))


SMALLEST_DENOMINATOR = 1e-6


def _plus_plus_weights(activation: tf.Tensor, gradient: tf.Tensor) -> tf.Tensor:
    """(n, k, 1, 1, C).

    Divided through by g^2, so that nothing underflows: alpha = 1 / (2 + g sum(A)). That is at least 2 where the
    layer is a ReLU's; elsewhere it can meet 0, and is kept at least SMALLEST_DENOMINATOR in size, its sign as it is.
    """
    total = tf.reduce_sum(activation, (2, 3), keepdims=True)
    denominator = 2 + gradient * total
    small = tf.where(denominator < 0, -SMALLEST_DENOMINATOR, tf.cast(SMALLEST_DENOMINATOR, denominator.dtype))
    denominator = tf.where(tf.abs(denominator) < SMALLEST_DENOMINATOR, small, denominator)
    # Where g = 0 alpha is 0 by definition, and ReLU(g) is 0 as well.
    weights = tf.reduce_sum(tf.nn.relu(gradient) / denominator, (2, 3), keepdims=True)
    positions = activation.shape[2] * activation.shape[3] // (gradient.shape[2] * gradient.shape[3])
    return weights * positions


def layer_cam(setting: Setting) -> Explain:
    """ReLU(sum_k ReLU(g) A_k), a weight for each position of each channel (Jiang et al. 2021, eq. 5 to 7)."""
    return ChannelMaps(setting, lambda a, g: tf.nn.relu(weighted(a, tf.nn.relu(g))))


def cam(setting: Setting) -> Explain:
    """sum_k w_k A_k with the weights of a linear head (Zhou et al. 2016, eq. 2), signed.

    w = H W g, which for pooling and a Dense are the Dense's weights: the mean of the map plus what does not come from
    the layer (the bias) is the logit. Also where each position has weights of its own.
    """
    height, width = setting.configured["height"], setting.configured["width"]
    return ChannelMaps(setting, lambda a, g: weighted(a, g * (height * width)))


def weighted(activation: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """sum over channels of activation (n, 1, H, W, C) x weights (n, k, 1 or H, 1 or W, C): (n, k, H, W)."""
    if weights.shape[2:4] == (1, 1):
        n, _, height, width, channels = activation.shape
        flat = tf.reshape(activation, (n, height * width, channels))
        product = tf.matmul(weights[:, :, 0, 0], flat, transpose_b=True)
        return tf.reshape(product, (n, weights.shape[1], height, width))
    return tf.reduce_sum(activation * weights, -1)


METHODS = (
    Method(
        name="grad_cam",
        title="Grad-CAM",
        about="channels of a layer, weighted by the mean gradient of the target's logit",
        meaning="where the layer’s channels that raise the class’s logit are active",
        formula="ReLU(sum_k w_k A_k), w_k = mean over positions of d logit / d A_k (eq. 1 and 2)",
        source="Selvaraju et al. 2017",
        options=GradCam,
        build=grad_cam,
        configure=configure,
        resolution="layer",
        grain="smooth",
        needs=("gradient",),
    ),
    Method(
        name="grad_cam_plus_plus",
        title="Grad-CAM++",
        about="channels of a layer, weighted by where the logit's gradient is positive",
        meaning="as Grad-CAM, weighting each position by how strongly it raises the logit",
        formula="ReLU(sum_k w_k A_k), w_k = sum over positions of ReLU(g) / (2 + g sum(A_k)), g = d logit / d A_k "
        "(eq. 9 to 19, for the logit itself: the paper's exp(logit) is one factor per image)",
        source="Chattopadhay et al. 2018",
        options=GradCamPlusPlus,
        build=grad_cam_plus_plus,
        configure=configure,
        resolution="layer",
        grain="smooth",
        needs=("gradient",),
    ),
    Method(
        name="layer_cam",
        title="Layer-CAM",
        about="a layer's activations, weighted one by one by the positive part of the logit's gradient",
        meaning="where the layer’s activations themselves raise the class’s logit",
        formula="ReLU(sum_k ReLU(g) A_k), g = d logit / d A_k at each position (eq. 5 to 7)",
        source="Jiang et al. 2021",
        options=LayerCam,
        build=layer_cam,
        configure=configure,
        resolution="layer",
        grain="smooth",
        needs=("gradient",),
    ),
    Method(
        name="cam",
        title="CAM",
        about="channels of a layer, weighted as the linear head weights them",
        meaning="what each position of the layer adds to the class’s logit",
        formula="sum_k w_k A_k, w_k = H W d logit / d A_k: the weights of a Dense behind a pooling (eq. 2)",
        source="Zhou et al. 2016",
        options=Cam,
        build=cam,
        configure=configure_linear,
        resolution="layer",
        grain="smooth",
        signed=True,
        needs=("gradient", "linear head"),
    ),
)
