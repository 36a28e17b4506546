"""What a layer that can carry an atlas is; light to import."""

from __future__ import annotations

from dataclasses import dataclass

from activation_atlas.stages.vision.place import Place


@dataclass(frozen=True)
class LayerInfo:
    """A layer that can carry an atlas.

    Attributes:
        name: path of the call; ``backbone/conv_1`` in a nested model, ``conv#1`` for a second call.
        kind: class of the layer, e.g. ``Conv2D``.
        height, width, channels: of its output at the model's input size.
        receptive_field: (height, width) in input pixels that one position sees; global branches left out,
            and the whole image behind attention.
        stride: (down, right) input pixels from one position to the next.
        offset: (y, x) input pixel at the centre of position (0, 0)'s receptive field.
        covers: (top, left, bottom, right) input pixels that its positions stand for, the last two beyond the last.
        compute: share of the model's operations that lie before it, itself included, in [0, 1].
        beside: tokens beside the map, a class token and registers, where the layer's output is a sequence of tokens.
    """

    name: str
    kind: str
    height: int
    width: int
    channels: int
    receptive_field: tuple[float, float]
    stride: tuple[float, float]
    offset: tuple[float, float]
    covers: tuple[int, int, int, int]
    compute: float
    beside: int = 0

    @property
    def place(self) -> Place:
        """Where a map of its positions lies."""
        return Place(self.stride, self.offset, self.covers)
