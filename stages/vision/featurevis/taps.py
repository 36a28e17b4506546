"""Where an image's answer is taken: a layer with positions, one that is a vector, or the classes' logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.guided import passing, under_rule
from activation_atlas.stages.vision.model import Model
from activation_atlas.stages.vision.model.trying import shape_of

LOGITS = ""
"""In the place of a layer's path: what is explained of each class, see :meth:`Model.scores`."""


@dataclass(frozen=True)
class Answer:
    """What of a model is asked.

    Attributes:
        layer: its path, or :data:`LOGITS`.
        respond: x in the model's range (n, h, w, c) -> maps (n, H, W, C); 1 x 1 of what has no positions.
        slot: of the program, that no gradient may be lost before.
        height, width, channels: of the maps at the model's own input size.
    """

    layer: str
    respond: Callable[[tf.Tensor], tf.Tensor]
    slot: int
    height: int
    width: int
    channels: int

    @property
    def spatial(self) -> bool:
        """Whether there are several positions."""
        return self.height * self.width > 1


def answer(model: Model, layer: str, through: bool = False) -> Answer:
    """What a layer answers, or with :data:`LOGITS` the model.

    Args:
        through: a ReLU that ends the layer lets gradients through wherever it is 0 or capped.

    Raises:
        UserError: there is no such layer, or its output is neither a map nor a vector.
    """
    if layer == LOGITS:
        slot = model.program.output
        count = len(model.classes)
        return Answer(layer, lambda x: model.scores(*model.values(x, [slot]))[:, None, None], slot, 1, 1, count)
    slot = model.feature_slot(layer)
    shape = model.shapes[slot]
    if len(shape) == 2:
        return Answer(layer, lambda x: model.values(x, [slot])[0][:, None, None], slot, 1, 1, shape[1])
    info = model.layer(layer)
    if through:
        model = under_rule(model, passing, only=slot)
    return Answer(layer, model.tap(layer), slot, info.height, info.width, info.channels)


def takes(model: Model, asked: Answer, frame: tuple[int, int]) -> bool:
    """Whether images of another size than the model's own are answered, with as many channels."""
    if asked.spatial:
        return model.accepts(asked.layer, *frame)
    shape = shape_of(asked.respond, (*frame, model.channels))
    if shape is None or len(shape) != 4 or None in shape[1:]:
        return False
    return min(shape[1:]) > 0 and shape[3] == asked.channels
