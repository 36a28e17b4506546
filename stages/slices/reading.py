"""Tables -> :class:`Images`, a part at a time: only a sample of the search half is ever held at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.halves import copies, held_out
from activation_atlas.stages.keys import cell, find
from activation_atlas.stages.slices.images import Images, joined
from activation_atlas.stages.specs import ViewSpec
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tables.flags import SILENT
from activation_atlas.stages.tasks import Assigned, assigned

MOST = 20_000
"""Images that slices are sought in."""
SIDE = 16
"""Of an attribution map that is compared with others, whatever its own."""


class Halves:
    """The images of a run as the finders may see them.

    Attributes:
        copies: images that hold the same bytes as another, and are left out.

    Args:
        view, grid: the atlas whose cells are read; None: none is.
        features: the table of pooled features, or of sampled positions whose mean stands for them; None: none.
        maps: the table of attribution maps; None: none.
    """

    def __init__(
        self, inputs: Inputs, seed: int, view: ViewSpec | None, grid: int, features: str | None, maps: str | None
    ) -> None:
        self.inputs, self.view, self.grid, self.features, self.maps = inputs, view, grid, features, maps
        self.extract = inputs.state("extract", "")
        self.held, self.chosen = self._halves(seed)

    def _halves(self, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of each part which predicted images are held out, and which of the others are looked at, both (n,) bool; of
        copies of a file the first alone."""
        held, draws, contents = [], [], []
        for part in range(self.inputs.parts("predictions")):
            ids = self.inputs.part("predictions", part, ["image_id"])["image_id"]
            own = self.inputs.part("images", part, ["image_id", "sha256"])
            place = pc.index_in(ids, value_set=own["image_id"].combine_chunks())
            contents.append(own["sha256"].take(place).to_pylist())
            held.append(held_out(contents[-1], seed))
            draws.append(np.array([_draw(i, seed) for i in ids.to_pylist()], np.uint64))
        first = [~twice for twice in copies(contents)]
        self.copies = sum(int((~own).sum()) for own in first)
        searched = [~h & own for h, own in zip(held, first, strict=True)]
        drawn = np.sort(np.concatenate([np.zeros(0, np.uint64), *(d[s] for d, s in zip(draws, searched, strict=True))]))
        last = drawn[min(MOST, len(drawn)) - 1] if len(drawn) else np.uint64(0)
        chosen = [s & (d <= last) for s, d in zip(searched, draws, strict=True)]
        return [h & own for h, own in zip(held, first, strict=True)], chosen

    def search(self) -> Images:
        """The half that slices are sought in; of a large one a sample. By id, so that the parts do not matter."""
        found = joined([self.part(k).take(mine) for k, mine in enumerate(self.chosen)])
        return found.take(np.argsort(found.ids.astype(str)))

    def held_parts(self) -> Iterator[tuple[Images, pa.Table]]:
        """The other half, part by part, with what else the source says of each image: the columns `meta.*`."""
        for k, mine in enumerate(self.held):
            if not mine.any():
                continue
            images = self.part(k).take(mine)
            columns = [c for c in self.inputs.part("images", k).column_names if c.startswith("meta.")]
            told = self.inputs.part("images", k, ["image_id", *columns])
            place = pc.index_in(pa.array(images.ids.tolist(), pa.string()), value_set=told["image_id"].combine_chunks())
            yield images, told.select(columns).take(place)

    def part(self, index: int) -> Images:
        """All images of a part."""
        said = self.inputs.part("predictions", index, ["image_id", "label", "prob", "correct", "logits"])
        ids = np.array(said["image_id"].to_pylist(), object)
        logits, label = to_numpy(said["logits"]).astype(np.float64), assigned(said["label"])
        pred = logits.argmax(1) if len(logits) else np.zeros(0, np.int64)
        probabilities, loss = judged(logits, label, self.extract["kind"])
        rows, evidence = self._cells(index, said, pred)
        return Images(
            ids=ids,
            label=label.only,
            pred=pred,
            wrong=1 - np.array(said["correct"].cast(pa.float64()).to_pylist(), np.float64),
            loss=loss,
            confidence=said["prob"].to_numpy().astype(np.float64),
            probabilities=probabilities.astype(np.float32),
            features=self._features(index, said),
            rows=rows,
            evidence=evidence,
            maps=self._maps(index, said, pred),
        )

    def _features(self, index: int, said: pa.Table) -> np.ndarray | None:
        if self.features is None:
            return None
        column = "features" if self.features.startswith("features/") else "activation"
        rows = self.inputs.part(self.features, index, ["image_id", column])
        vectors, image = to_numpy(rows[column]).astype(np.float32), _places(rows, said)
        sums = np.zeros((len(said), vectors.shape[1]), np.float32)
        np.add.at(sums, image, vectors)
        return sums / np.maximum(np.bincount(image, minlength=len(said)), 1)[:, None].astype(np.float32)

    def _cells(self, index: int, said: pa.Table, pred: np.ndarray) -> tuple[Any, Any]:
        """How many of an image's positions lie in each cell, and what they argue for its class: sparse (n, cells)."""
        from scipy.sparse import csr_matrix

        if self.view is None:
            return None, None
        layout = self.inputs.part(f"layouts/{self.view.name}", index)
        image = _places(layout, said)
        own = cell(layout["x"].to_numpy(), self.grid) * self.grid + cell(layout["y"].to_numpy(), self.grid)
        shape = (len(said), self.grid**2)
        rows = csr_matrix((np.ones(len(own)), (image, own)), shape)
        if self.view.images or not self.extract["attributed"]:
            return rows, None
        argues = self._argues(index, layout, pred[image])
        return rows, csr_matrix((argues, (image, own)), shape)

    def _argues(self, index: int, layout: pa.Table, kind: np.ndarray) -> np.ndarray:
        """The attribution for class ``kind`` (rows,) of each row of a layout; 0 where it is not stored."""
        assert self.view is not None
        columns = ["image_id", "row", "col", "attribution", *(["attributed_classes"] if self.extract["top"] else [])]
        rows = self.inputs.part(self.view.rows_table, index, columns)
        where = find(layout, rows)
        values = to_numpy(rows["attribution"])[where].astype(np.float64)
        if self.extract["top"]:
            listed = to_numpy(rows["attributed_classes"])[where] == kind[:, None]
            return np.where(listed, values, 0).sum(1)
        column = np.full(len(self.extract["classes"]), -1)
        column[np.array(self.extract["attributed"])] = np.arange(len(self.extract["attributed"]))
        known = column[kind]
        return np.where(known >= 0, values[np.arange(len(values)), np.maximum(known, 0)], 0.0)

    def _maps(self, index: int, said: pa.Table, pred: np.ndarray) -> np.ndarray | None:
        if self.maps is None:
            return None
        found = np.full((len(said), SIDE**2), np.nan, np.float32)
        rows = self.inputs.part(self.maps, index, ["image_id", "target", "height", "width", "map", "flag"])
        image = _places(rows, said)
        for k in np.flatnonzero(rows["target"].to_numpy() == pred[image]).tolist():
            if rows["flag"][k].as_py() in SILENT:
                continue
            values = rows["map"][k].values.to_numpy().reshape(rows["height"][k].as_py(), rows["width"][k].as_py())
            small = means(values, SIDE).reshape(-1)
            found[image[k]] = small / max(float(np.linalg.norm(small)), 1e-12)
        return found


def judged(logits: np.ndarray, label: Assigned, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of classes (n, K), and the cross entropy with the labels in nats (n,), NaN where there is none.

    Args:
        kind: ``softmax``; or ``sigmoid``: each class by itself, the cross entropies summed over classes.
    """
    from scipy.special import expit, log_softmax

    if kind == "sigmoid":
        hot = np.zeros(logits.shape, bool)
        hot[label.image, label.index] = True
        loss, probabilities = np.logaddexp(0, np.where(hot, -logits, logits)).sum(1), expit(logits)
        return probabilities, np.where(label.known, loss, np.nan)
    logs = log_softmax(logits, axis=1)
    loss, only = np.full(len(logits), np.nan), label.only
    known = only >= 0
    loss[known] = -logs[known, only[known]]
    return np.exp(logs), loss


def means(values: np.ndarray, side: int) -> np.ndarray:
    """A map (h, w) as means over ``side`` x ``side`` equal parts of it, float64; parts cut positions in two."""
    down, right = (_shares(length, side) for length in values.shape)
    return down @ values.astype(np.float64) @ right.T


def _shares(length: int, side: int) -> np.ndarray:
    """Which share of each of ``side`` equal parts each of ``length`` positions is, (side, length); rows sum to 1."""
    edges, ends = np.arange(side + 1) * length / side, np.arange(length)
    shared = np.minimum(edges[1:, None], ends + 1) - np.maximum(edges[:-1, None], ends)
    return np.maximum(shared, 0) * side / length


def _places(rows: pa.Table, said: pa.Table) -> np.ndarray:
    """The image of each row as its place among those that were predicted."""
    found = pc.index_in(rows["image_id"], value_set=said["image_id"].combine_chunks())
    return found.to_numpy().astype(np.int64)


def _draw(image_id: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}:slices:{image_id}".encode()).digest()[:8], "big")
