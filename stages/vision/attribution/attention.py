"""Which of a transformer's tokens are the image's patches, and what they attend to as maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model import LayerInfo, Model
from activation_atlas.stages.vision.model.attending import Attention

BESIDE = 16
"""Tokens that may stand before the patches: a class token, registers."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of a transformer's blocks.

    Attributes:
        blocks: the attention of each block, in running order.
        layer: the map whose positions the patches are.
        before: tokens that stand before the patches, the first of them the class token; 0: there is none.
    """

    blocks: tuple[Attention, ...]
    layer: LayerInfo
    before: int


def tokens(model: Model, method: str) -> Tokens:
    """The blocks that attend among the patches of the image, and where these lie.

    Args:
        method: that asks, for messages.

    Raises:
        UserError: the model has no attention that can be read, or none among patches of the image.
    """
    found = model.attention.found
    if not found:
        raise UserError(
            f"{method}: model {model.name} has no attention among the tokens of an image that can be read; choose "
            "another method, such as grad_cam"
        )
    count = found[-1].tokens
    for layer in reversed(model.layers()):
        before = count - layer.height * layer.width
        if 0 <= before <= BESIDE:
            info = model.placed(layer.name)
            return Tokens(tuple(a for a in found if a.tokens == count), info, before)
    raise UserError(
        f"{method}: the {count} tokens of {found[-1].name} of model {model.name} form no map; choose another method, "
        "such as integrated_gradients"
    )


def attention_maps(model: Model, pixels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """What each head of each block attends to, over the patches of the image.

    Args:
        pixels: uint8 (n, h, w, c), of the model's input size.

    Returns:
        (name of the block's attention, float32 (n, heads, height, width)) in running order: how much the class token
        takes from each patch; where there is none, how much patches take from it, in the mean. Each head's map sums
        to 1, less what goes to the tokens beside the patches.

    Raises:
        UserError: the model has no attention among patches.
    """
    own = tokens(model, "attention")
    held = [a.slot for a in own.blocks]

    @tf.function(autograph=False)
    def apply(pixels: tf.Tensor) -> list[tf.Tensor]:
        found, _ = model.attended(model.to_input(pixels))
        kept = [tf.cast(x, tf.float32) for x, a in zip(found, model.attention.found, strict=True) if a.slot in held]
        return [over_patches(asked(x, own.before, own.before > 0), own) for x in kept]

    maps = apply(tf.constant(pixels))
    return [(a.name, x.numpy()) for a, x in zip(own.blocks, maps, strict=True)]


def asked(attention: tf.Tensor, before: int, by_class: bool) -> tf.Tensor:
    """What is taken from each token, (..., T, T) -> (..., T): by the class token, or by the patches in the mean."""
    return attention[..., 0, :] if by_class else tf.reduce_mean(attention[..., before:, :], -2)


def over_patches(row: tf.Tensor, own: Tokens) -> tf.Tensor:
    """(..., T) -> (..., height, width)."""
    kept = row[..., own.before :]
    return tf.reshape(kept, (*kept.shape[:-1], own.layer.height, own.layer.width))
