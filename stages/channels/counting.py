"""Sums and largest values of single channels, part by part; nothing grows with the images but what is given."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.clusters import sum_by
from activation_atlas.stages.intervals import student_t
from activation_atlas.stages.tasks import Assigned


class Counted:
    """Rows of the table ``channels``: sums over images in float64, in the order of the parts.

    Args:
        positions: of one map.
        by: which images are of a class: ``label`` or ``pred``.
    """

    def __init__(self, channels: int, positions: int, by: str) -> None:
        self.positions, self.by, self.images = positions, by, 0
        self.total = np.zeros(channels)
        self.zeros, self.alive = (np.zeros(channels, np.int64) for _ in range(2))
        self.peak = np.full(channels, -np.inf, np.float32)
        self.sums, self.squares = (np.zeros((0, channels)) for _ in range(2))
        self.of_class = np.zeros(0, np.int64)

    def add(self, found: Mapping[str, np.ndarray], classes: Assigned) -> None:
        """Images of one part: each of ``peak``, ``mean``, ``zeros`` (n, C), and the classes of these n images."""
        mean = found["mean"].astype(np.float64)
        self.images += len(mean)
        self.total += mean.sum(0)
        self.zeros += found["zeros"].sum(0, dtype=np.int64)
        self.alive += (found["zeros"] < self.positions).sum(0)
        self.peak = np.maximum(self.peak, found["peak"].max(0, initial=-np.inf))
        more = int(classes.index.max(initial=-1)) + 1 - len(self.sums)
        if more > 0:
            self.sums, self.squares = (np.pad(each, ((0, more), (0, 0))) for each in (self.sums, self.squares))
            self.of_class = np.pad(self.of_class, (0, more))
        size, rows = len(self.sums), mean[classes.image]
        self.of_class += classes.counts(size)
        self.sums += sum_by(classes.index, size, rows)
        self.squares += sum_by(classes.index, size, rows * rows)

    def table(self) -> pa.Table:
        dead = self.alive == 0
        columns = {
            "channel": np.arange(len(dead)),
            "mean": self.total / max(self.images, 1),
            "peak": np.where(self.images, self.peak, 0),
            "zeros": self.zeros / max(self.images * self.positions, 1),
            "dead": dead,
            "images": self.alive,
        }
        made = {name: pa.array(values) for name, values in columns.items()} | self._of_classes(dead)
        schema = tables.channels()
        return pa.table([made[field.name].cast(field.type) for field in schema], schema=schema)

    def _of_classes(self, dead: np.ndarray) -> dict[str, pa.Array]:
        """The columns of the most exciting class; null where a channel is dead, or no image is of a class."""
        occurs = np.flatnonzero(self.of_class)
        count = self.of_class[occurs]
        if not len(occurs):
            nothing = pa.nulls(len(dead))
            return {field.name: nothing for field in tables.channels() if field.name.startswith("class")} | {
                "selectivity": nothing
            }
        means = self.sums[occurs] / count[:, None]
        best, channel = means.argmax(0), np.arange(len(dead))
        largest, images = means[best, channel], count[best]
        # The sum of squares about the mean; rounding must not make it negative.
        about = np.maximum(self.squares[occurs][best, channel] - images * largest**2, 0)
        error = np.sqrt(about / np.maximum(images - 1, 1) / images) * student_t(images)
        others = (means.sum(0) - largest) / max(len(occurs) - 1, 1)
        with np.errstate(invalid="ignore", divide="ignore"):
            selective = (largest - others) / (largest + others)
        unfit = dead | (means.min(0) < 0) | (len(occurs) < 2) | ~np.isfinite(selective)
        return {
            "class": pa.array(occurs[best], mask=dead),
            "class_by": pa.array([self.by] * len(dead), mask=dead),
            "class_images": pa.array(images, mask=dead),
            "class_mean": pa.array(largest, mask=dead),
            "class_low": pa.array(largest - error, mask=dead | (images < 2)),
            "class_high": pa.array(largest + error, mask=dead | (images < 2)),
            "selectivity": pa.array(selective, mask=unfit),
        }


class Peaks:
    """Rows of the table ``peaks``: of each channel the ``count`` images of largest response, whatever the parts.

    Of equals, of which a capped ReLU makes many, the one comes first in which the channel's mean is larger; of those
    the smaller id.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.held: tuple[np.ndarray, ...] = ()

    def add(self, ids: np.ndarray, found: Mapping[str, np.ndarray], alive: np.ndarray) -> None:
        """Images of one part.

        Args:
            ids: (n,) uint64.
            found: each of ``peak``, ``at``, ``mean`` (n, C).
            alive: (n, C), whether the channel is not 0 everywhere.
        """
        each_id = np.broadcast_to(ids[:, None], alive.shape)
        own = np.where(alive, found["peak"], -np.inf), found["mean"], each_id, found["at"]
        both = [np.concatenate(each) for each in zip(self.held, own, strict=True)] if self.held else own
        order = np.lexsort((both[2], -both[1], -both[0]), axis=0)[: self.count]
        self.held = tuple(np.take_along_axis(each, order, 0) for each in both)

    def table(self, width: int) -> pa.Table:
        """``width``: columns of the layer's map."""
        schema = tables.peaks()
        if not self.held:
            return schema.empty_table()
        response, _, ids, at = (each.T for each in self.held)  # (C, rank)
        channel, rank = np.nonzero(np.isfinite(response))
        at = at[channel, rank]
        columns = {
            "channel": channel,
            "rank": rank,
            "image_id": [f"{i:016x}" for i in ids[channel, rank].tolist()],
            "row": at // width,
            "col": at % width,
            "response": response[channel, rank],
        }
        return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)
