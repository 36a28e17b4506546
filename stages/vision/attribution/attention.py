"""Which of a transformer's tokens are the image's patches, and what they attend to as maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from activation_atlas.stages.caches import cached
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.proof import noise
from activation_atlas.stages.vision.model import LayerInfo, Model, freeze
from activation_atlas.stages.vision.model.attending import Attention
from activation_atlas.stages.vision.model.geometry import TokenSequence
from activation_atlas.stages.vision.model.geometry.tokens import Layout


@dataclass(frozen=True)
class Tokens:
    """The tokens of a transformer's blocks.

    Attributes:
        blocks: the attention of each block, in running order.
        layer: the map whose positions the patches are.
        patches: which of the tokens each position is, row after row.
        token: which token is the class token: of those beside the patches the one that the logits read most; None where
            there is none.
        by_class: whether it is the class token that the logits read, and not all tokens alike, or the patches alone.
    """

    blocks: tuple[Attention, ...]
    layer: LayerInfo
    patches: tuple[int, ...]
    token: int | None
    by_class: bool


def tokens(model: Model, method: str) -> Tokens:
    """The blocks that attend among the patches of the image, and where these lie.

    Where blocks differ in their tokens, as where a network makes its map smaller on the way, those that have the
    last one's.

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
    known = [(attention, _laid(model, attention)) for attention in found]
    last = next((laid for _, laid in reversed(known) if laid is not None), None)
    if last is None:
        raise UserError(
            f"{method}: the {found[-1].tokens} tokens of {found[-1].name} of model {model.name} form no map that can "
            "be found; choose another method, such as integrated_gradients"
        )
    layer, own = last
    blocks = tuple(attention for attention, laid in known if laid is not None and laid[1] == own)
    return Tokens(blocks, model.placed(layer), own.order, *_class_token(model, own, blocks[-1]))


def _class_token(model: Model, own: Layout, last: Attention) -> tuple[int | None, bool]:
    """The class token, and whether it is what the logits read of the last block.

    It is where they depend more on what it takes there than on what a patch takes, by more than the square root of the
    patches' number: a head that reads it alone, or beside the patches' mean, and one that reads the mean of all tokens,
    or of the patches, lie that factor to either side and more.
    """
    if not own.beside:
        return None, False
    read = _read(model, last.slot)
    if read is None:
        return own.beside[0], True
    token = own.beside[int(read[list(own.beside)].argmax())]
    return token, bool(read[token] > read[list(own.order)].mean() * len(own.order) ** 0.5)


@cached(4)
def _read(model: Model, slot: int) -> np.ndarray | None:
    """How much the logits depend on what each token takes in a block, (tokens,), told by gradients on noise; None
    where there are none."""
    pixels = tf.constant(noise(np.random.default_rng(0), (*model.input_size, model.channels)))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        attention, logits = model.attention(model.to_input(pixels), tape)
        score = tf.reduce_sum(logits**2)
    own = next(x for x, a in zip(attention, model.attention.found, strict=True) if a.slot == slot)
    try:
        slope = tape.gradient(score, own)
    except LookupError:  # an operation without a gradient
        return None
    found = np.zeros(1) if slope is None else np.abs(np.asarray(slope, np.float64)).sum((0, 1, 3))
    return found if np.isfinite(found).all() and found.any() else None  # in half precision they may vanish


def _laid(model: Model, attention: Attention) -> tuple[str, Layout] | None:
    """A layer whose map are the tokens that attend, and how they hold it."""
    program = model.program
    step = program.steps[program.maker(attention.query)]
    if not isinstance(step.operation, TokenSequence):
        return None
    layers = [name for name, slot in program.names.items() if slot == step.inputs[0]]
    return (layers[0], step.operation.layout) if layers else None


def attention_maps(model: Model, pixels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """What each head of each block attends to, over the patches of the image.

    Args:
        pixels: uint8 (n, h, w, c), of the model's input size; each goes through by itself, and knows no companions.

    Returns:
        (name of the block's attention, float32 (n, heads, height, width)) in running order: how much the class token
        takes from each patch; where the logits read none, how much patches take from it, in the mean. Each head's map
        sums to 1, less what goes to the tokens beside the patches.

    Raises:
        UserError: the model has no attention among patches.
    """
    own = tokens(model, "attention")
    held = {a.slot for a in own.blocks}

    def apply(pixels: tf.Tensor) -> list[tf.Tensor]:
        found, _ = model.attention(model.to_input(pixels))
        kept = [tf.cast(x, tf.float32) for x, a in zip(found, model.attention.found, strict=True) if a.slot in held]
        return [over_patches(asked(x, own), own) for x in kept]

    forward = freeze(apply, tf.TensorSpec((1, *pixels.shape[1:]), tf.uint8))
    parts = [[x.numpy() for x in forward(tf.constant(one[None]))] for one in pixels]
    maps = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return [(a.name, x) for a, x in zip(own.blocks, maps, strict=True)]


def asked(attention: tf.Tensor, own: Tokens) -> tf.Tensor:
    """What is taken from each token, (..., T, T) -> (..., T): by the class token, or by the patches in the mean."""
    if own.by_class and own.token is not None:
        return attention[..., own.token, :]
    return tf.reduce_mean(tf.gather(attention, own.patches, axis=-2), -2)


def over_patches(row: tf.Tensor, own: Tokens) -> tf.Tensor:
    """(..., T) -> (..., height, width)."""
    kept = tf.gather(row, own.patches, axis=-1)
    return tf.reshape(kept, (*kept.shape[:-1], own.layer.height, own.layer.width))
