"""What a transformer's tokens attend to: in one block, through all of them, and for a class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.methods.method import (
    Configured,
    Explain,
    Maps,
    Method,
    Options,
    Sample,
    Setting,
)
from activation_atlas.stages.vision.batching import padded
from activation_atlas.stages.vision.lazy import tf

if TYPE_CHECKING:
    from activation_atlas.stages.vision.model import Model

Heads = Literal["mean", "max"]


class OfTokens(Options):
    """Methods that say what one kind of token takes from the patches."""

    query: Literal["class", "patches"] | None = Field(
        None,
        description="whose attention: the class token's, or the patches' in the mean; default: the class token's "
        "where the logits read it",
    )

    def looks(self, configured: Configured) -> str:
        whose = {"class": "of the class token", "patches": "of all patches"}[configured["query"]]
        return f"{whose}, at {configured['height']} x {configured['width']} patches, {configured['where']}"


class Attention(OfTokens):
    name: Literal["attention"] = "attention"
    block: int | None = Field(None, description="which block's, from 1, or from the last as -1; default: the last")
    head: Heads | int = Field("mean", description="mean or max of the heads, or one head by its number, from 0")


class Rollout(OfTokens):
    name: Literal["attention_rollout"] = "attention_rollout"
    heads: Heads = Field("mean", description="mean of the heads, as in the paper, or the largest of them")


class Gradient(OfTokens):
    name: Literal["attention_gradient"] = "attention_gradient"


def configure(model: Model, options: Any, sample: Sample) -> Configured:
    """Where the patches lie, whose attention it is, and in which blocks.

    Raises:
        UserError: the model has no attention among patches of the image; it has no class token, and its attention is
            asked for; there is no such block or head.
    """
    from activation_atlas.stages.vision.attribution.attention import tokens

    own = tokens(model, options.name)
    if options.query == "class" and own.token is None:
        raise UserError(
            f"{options.variant}.query: class, but model {model.name} has no class token: its {own.blocks[-1].tokens} "
            f"tokens are the {own.layer.height} x {own.layer.width} patches; leave it out for the patches' attention"
        )
    blocks = _blocks(options, [a.name for a in own.blocks])
    head = getattr(options, "head", None)
    heads = own.blocks[blocks[-1]].heads
    if isinstance(head, int) and not 0 <= head < heads:
        raise UserError(f"{options.variant}.head: {head}, but there are {heads} heads, 0 to {heads - 1}")
    words = f"in block {blocks[0] + 1}" if len(blocks) == 1 else f"through {len(blocks)} blocks"
    return {
        "height": own.layer.height,
        "width": own.layer.width,
        "place": own.layer.place.row(),
        "patches": list(own.patches),
        "token": own.token,
        "blocks": [own.blocks[k].name for k in blocks],
        "query": options.query or ("class" if own.by_class else "patches"),
        "where": words,
    }


def configure_gradient(model: Model, options: Any, sample: Sample) -> Configured:
    """As :func:`configure`, where gradients of the logits reach the attention of every block.

    Raises:
        UserError: they do not.
    """
    from activation_atlas.stages.vision.attribution.gradient_path import require_gradient

    configured = configure(model, options, sample)
    first = next(a for a in model.attention.found if a.name == configured["blocks"][0])
    require_gradient(model, first.output, f"the attention of {first.name}")
    return configured


def _blocks(options: Any, names: list[str]) -> list[int]:
    """Numbers of the blocks that are looked at, from 0."""
    if not isinstance(options, Attention):
        return list(range(len(names)))
    asked, count = options.block, len(names)
    if asked is None:
        return [count - 1]
    if not (1 <= asked <= count or -count <= asked <= -1):
        raise UserError(
            f"{options.variant}.block: {asked}, but there are {count} blocks, 1 to {count} or -1 for the last"
        )
    return [asked - 1 if asked > 0 else count + asked]


class TokenMaps:
    """A method of this family at work.

    Args:
        combine: attention (n, heads, T, T) of the blocks and its gradients, None without, and the row of tokens
            (n, T) that ask, to what they take from each token (n, T).
        by_target: whether it wants gradients, of each target's logit.
    """

    def __init__(self, setting: Setting, combine: Callable[..., tf.Tensor], by_target: bool) -> None:
        from activation_atlas.stages.vision.model import freeze

        self.model, self.batch, self.configured = setting.model, setting.batch, setting.configured
        self.combine, self.by_target = combine, by_target
        self.size = (self.configured["height"], self.configured["width"])
        pixels = tf.TensorSpec((setting.batch, *self.model.input_size, self.model.channels), tf.uint8)
        targets = tf.TensorSpec((setting.batch, setting.targets), tf.int32)
        self.apply = freeze(self._apply, pixels, targets)

    def _apply(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        own = [a.name in self.configured["blocks"] for a in self.model.attention.found]
        x = self.model.to_input(pixels)
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            found, logits = self.model.attention(x, tape if self.by_target else None)
            scores = tf.gather(self.model.scores(logits), targets, axis=1, batch_dims=1)
            each = tf.unstack(scores, axis=1)
        found = [x for x, is_own in zip(found, own, strict=True) if is_own]
        attention = [tf.cast(x, tf.float32) for x in found]
        if self.by_target:
            slopes = [[tf.cast(g, tf.float32) for g in tape.gradient(score, found)] for score in each]
            maps = tf.stack([self._map(attention, slope) for slope in slopes], 1)
        else:
            maps = tf.repeat(self._map(attention, None)[:, None], len(each), 1)
        return maps, tf.cast(scores, tf.float32)

    def _map(self, attention: list[tf.Tensor], slopes: list[tf.Tensor] | None) -> tf.Tensor:
        patches = self.configured["patches"]
        row = np.zeros(attention[0].shape[-1], np.float32)
        if self.configured["query"] == "class":
            row[self.configured["token"]] = 1
        else:
            row[patches] = 1 / len(patches)
        found = self.combine(attention, slopes, tf.tile(tf.constant(row)[None], (attention[0].shape[0], 1)))
        return tf.reshape(tf.gather(found, patches, axis=1), (-1, *self.size))

    def __call__(self, pixels: np.ndarray, targets: np.ndarray, ids: Sequence[str]) -> Maps:
        batch = self.apply(tf.constant(padded(pixels, self.batch)), tf.constant(padded(targets, self.batch)))
        maps, scores = (x.numpy()[: len(pixels)] for x in batch)
        return Maps(maps, scores)


def _taken(row: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """row (n, T) times matrix (n, T, T)."""
    return tf.linalg.matvec(matrix, row, transpose_a=True)


def _joined(attention: tf.Tensor, heads: Heads | int) -> tf.Tensor:
    """(n, heads, T, T) -> (n, T, T)."""
    if isinstance(heads, int):
        return attention[:, heads]
    return {"mean": tf.reduce_mean, "max": tf.reduce_max}[heads](attention, 1)


def rolled(attention: list[tf.Tensor], row: tf.Tensor, heads: Heads = "mean") -> tf.Tensor:
    """row (n, T) times A_L ... A_1, A = (W + I) / 2, W a block's attention (n, heads, T, T) with its heads joined.

    From the last block backwards, a row at a time: no two matrices are multiplied. The largest of the heads, unlike
    their mean, does not sum to 1 over the tokens and is made to.
    """
    for block in reversed(attention):
        joined = _joined(block, heads)
        joined = joined / tf.reduce_sum(joined, -1, keepdims=True) if heads == "max" else joined
        row = (row + _taken(row, joined)) / 2
    return row


def relevant(attention: list[tf.Tensor], slopes: list[tf.Tensor], row: tf.Tensor) -> tf.Tensor:
    """row (n, T) times R - I, R = (I + M_L) ... (I + M_1), M = mean over heads of ReLU(A x dA), each (n, heads, T, T).

    Without the identity that R begins with, which says only that each token is itself.
    """
    start = row
    for block, slope in zip(reversed(attention), reversed(slopes), strict=True):
        row = row + _taken(row, tf.reduce_mean(tf.nn.relu(block * slope), 1))
    return row - start


def attention(setting: Setting) -> Explain:
    """What the class token, or the patches in the mean, take from each patch in one block (Dosovitskiy et al. 2021)."""
    head = setting.options.head
    return TokenMaps(setting, lambda found, _, row: _taken(row, _joined(found[0], head)), by_target=False)


def attention_rollout(setting: Setting) -> Explain:
    """The class token's row of the product of all blocks (Abnar & Zuidema 2020, eq. 1), see :func:`rolled`."""
    heads = setting.options.heads
    return TokenMaps(setting, lambda found, _, row: rolled(found, row, heads), by_target=False)


def attention_gradient(setting: Setting) -> Explain:
    """The class token's row of the relevance of Chefer, Gur & Wolf 2021, eq. 5 and 6, see :func:`relevant`."""
    return TokenMaps(setting, relevant, by_target=True)


METHODS = (
    Method(
        name="attention",
        title="Attention",
        about="what the class token of a transformer takes from each patch in one block; the same for every class",
        meaning="how much of a block’s attention each patch gets; the same for every class",
        formula="A[class, patch] of the last block, mean over heads; mean of A[., patch] where there is no class token",
        source="Dosovitskiy et al. 2021",
        options=Attention,
        build=attention,
        configure=configure,
        resolution="patches",
        grain="smooth",
        needs=("attention",),
        by_class=False,
    ),
    Method(
        name="attention_rollout",
        title="Attention rollout",
        about="attention multiplied through all blocks of a transformer; the same for every class",
        meaning="how much attention each patch gets through all blocks together; the same for every class",
        formula="row of the class token of A_L ... A_1, A = (W + I) / 2, W a block's attention, mean over heads",
        source="Abnar & Zuidema 2020",
        options=Rollout,
        build=attention_rollout,
        configure=configure,
        resolution="patches",
        grain="smooth",
        needs=("attention",),
        by_class=False,
    ),
    Method(
        name="attention_gradient",
        title="Gradient-weighted attention",
        about="attention of all blocks, where the target's logit depends on it",
        meaning="through which patches the attention passes that raises the class’s logit",
        formula="row of the class token of R - I, R = (I + M_L) ... (I + M_1), M = mean over heads of "
        "ReLU(A x d logit / d A) (eq. 5 and 6)",
        source="Chefer, Gur & Wolf 2021",
        options=Gradient,
        build=attention_gradient,
        configure=configure_gradient,
        resolution="patches",
        grain="smooth",
        needs=("attention", "gradient"),
    ),
)
