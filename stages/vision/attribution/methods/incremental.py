"""Occlusion that recomputes only what a window can reach, up to a layer, and finishes from there."""

from __future__ import annotations

import tensorflow as tf

from activation_atlas.stages.vision.attribution.methods.ablation import WindowAblation, Windows, ablated
from activation_atlas.stages.vision.attribution.methods.crops import AxisCrops, at_layer
from activation_atlas.stages.vision.attribution.methods.method import Setting


class Incremental(WindowAblation):
    """A window's crop through the trunk, its block pasted into the clean image's activation, the head from there.

    Exact: what the crop gets wrong near its own edges is not pasted (see :mod:`~.crops`).
    """

    def __init__(self, setting: Setting) -> None:
        model, layer = setting.model, setting.configured["cut"]
        self.trunk, self.head = model.trunk(layer), model.head(layer)
        cut = at_layer(model, Windows.of(model, setting.options), layer)
        self.down, self.right = cut.down, cut.right
        super().__init__(setting)

    def clean(self, pixels: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        x = self.model.to_input(pixels)
        (activation,) = self.trunk(x)
        return self.scores(self.head([activation]), targets), x, activation

    def ablate(
        self, targets: tf.Tensor, image: tf.Tensor, window: tf.Tensor, x: tf.Tensor, activation: tf.Tensor
    ) -> tf.Tensor:
        number = (window // self.windows.shape[1], window % self.windows.shape[1])
        top, left = self.corners(window)
        above, before = self._table("first", number)
        crop = _cut(x, image, (above, before), (self.down, self.right))
        (map_,) = self.trunk(ablated(crop, top - above, left - before, self.windows.patch, self.fill()))
        sizes = (self.down.block, self.right.block)
        block = _frames(map_, tf.range(self.batch), self._table("inside", number), sizes)
        pasted = _pasted(tf.gather(activation, image), block, self._table("at", number))
        return self.scores(self.head([pasted]), tf.gather(targets, image))

    def _table(self, name: str, number: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Entries of the two axes' tables for windows (row, column of the grid)."""
        tables = (getattr(axis, name) for axis in (self.down, self.right))
        return tuple(tf.gather(tf.constant(t, tf.int32), k) for t, k in zip(tables, number, strict=True))


def _cut(
    x: tf.Tensor, image: tf.Tensor, first: tuple[tf.Tensor, tf.Tensor], axes: tuple[AxisCrops, AxisCrops]
) -> tf.Tensor:
    """Crops (batch, height, width, c) of images x, at pixels ``first`` down and right."""
    n, full, width, channels = x.shape
    down, right = axes
    # Crops start at multiples of the layer's stride: whole strides are gathered, where the width is made of them.
    piece = right.stride if width % right.stride == 0 and right.crop % right.stride == 0 else 1
    coarse = tf.reshape(x, (n, full, width // piece, piece * channels))
    found = _frames(coarse, image, (first[0], first[1] // piece), (down.crop, right.crop // piece))
    return tf.reshape(found, (-1, down.crop, right.crop, channels))


def _at(image: tf.Tensor, first: tuple[tf.Tensor, tf.Tensor], sizes: tuple[int, int], shape: tuple) -> tf.Tensor:
    """Indices (batch, height, width) into the positions of maps of ``shape`` laid end to end."""
    rows, cols = (start[:, None] + tf.range(size)[None] for start, size in zip(first, sizes, strict=True))
    return (image[:, None, None] * shape[1] + rows[:, :, None]) * shape[2] + cols[:, None, :]


def _frames(maps: tf.Tensor, image: tf.Tensor, first: tuple, sizes: tuple[int, int]) -> tf.Tensor:
    """Frames (batch, height, width, c) of maps (n, H, W, c), of the map in row ``image`` each."""
    return tf.gather(tf.reshape(maps, (-1, maps.shape[-1])), _at(image, first, sizes, maps.shape))


def _pasted(maps: tf.Tensor, block: tf.Tensor, first: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Maps (batch, H, W, c), each with its block in place of what was there."""
    batch, height, width, channels = block.shape
    index = tf.reshape(_at(tf.range(batch), first, (height, width), maps.shape), (-1, 1))
    flat = tf.tensor_scatter_nd_update(
        tf.reshape(maps, (-1, channels)), index, tf.reshape(tf.cast(block, maps.dtype), (-1, channels))
    )
    return tf.reshape(flat, maps.shape)
