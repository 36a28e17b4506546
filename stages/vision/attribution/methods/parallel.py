"""Pieces of a batch side by side in one graph: where one waits for memory or has one core only, another computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from activation_atlas.stages.vision.lazy import tf

PIECE = 8
"""Images of one piece: measured with MobileNet on two cores, pieces of 8, 16 and 64."""


def in_parallel(
    function: Callable[..., Sequence[tf.Tensor]], *rows: tf.Tensor, piece: int = PIECE
) -> Sequence[tf.Tensor]:
    """What ``function`` gives for all rows, as nodes of the graph for each piece that do not wait for one another.

    Args:
        function: of tensors; rows of what it returns belong to rows of what it is given.
        rows: tensors with the same known number of rows.
    """
    count = rows[0].shape[0]
    sizes = [min(piece, count - start) for start in range(0, count, piece)]
    pieces = zip(*(tf.split(tensor, sizes) for tensor in rows), strict=True)
    return [tf.concat(parts, 0) for parts in zip(*(function(*given) for given in pieces), strict=True)]
