"""Tables that another framework wrote, in the place of a model and its forward passes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.extract.network import Network, read_network
from activation_atlas.stages.extract.predictions import best
from activation_atlas.stages.extract.rows import TOP_ATTRIBUTED, Extracted
from activation_atlas.stages.extract.written import check, open_table
from activation_atlas.stages.specs import folder, meant
from activation_atlas.stages.stage import State, UserError
from activation_atlas.stages.tables import to_numpy

# -- what is checked before any image is read --------------------------------------


def fit(params: Any) -> State:
    """The state of ``extract``, of what the tables say; all tables are held against one another.

    Raises:
        UserError: a layer or class is not theirs, or their rows do not meet; one line with the first of them and
            how many there are.
    """
    root = params.model.tables
    network = read_network(root)
    chosen = chosen_of(network, params.attribution)
    layers = list(dict.fromkeys([*params.layers, *params.features]))
    known_layers(network, layers)
    check(root, network, params.layers, params.features, bool(chosen))
    about = {name: network.layers[name].model_dump(mode="json", exclude_none=True) for name in layers}
    return {
        "classes": network.classes,
        "kind": network.kind,
        "attributed": chosen,
        "top": params.attribution == "top" and bool(chosen),
        "by": network.by,
        "window": network.window,
        "input_size": list(network.input_size),
        "images": {},
        "layers": about,
    }


def chosen_of(network: Network, asked: str | list[str]) -> list[int]:
    """Indices of the classes whose attributions are read: those that are asked for, or all that are there."""
    if asked == "none":
        return []
    if isinstance(asked, str):
        if asked == "top" and len(network.attributed) not in (0, len(network.classes)):
            raise UserError("extract.attribution: top needs attributions of all classes in model.tables; say all")
        return network.attributed
    chosen = list(dict.fromkeys(class_index(name, network.classes, "extract.attribution") for name in asked))
    for k in chosen:
        if k not in network.attributed:
            raise UserError(
                f"extract.attribution: model.tables holds no attributions of {network.classes[k]!r}; leave it out"
            )
    return chosen


def known_layers(network: Network, names: Iterable[str]) -> None:
    """Refuses a layer that the tables do not have."""
    for name in names:
        if name not in network.layers:
            raise UserError(f"layer {name}: model.tables has no such layer; {meant(name, list(network.layers))}")


# -- one shard -----------------------------------------------------------------------


class Handed(Extracted):
    """The rows of one part's images, turned into the run's tables as if a model had just made them."""

    def read(self) -> None:
        """Takes what the tables hold of each image; one that they do not hold, or hold NaN of, is rejected."""
        root, params = self.params.model.tables, self.params
        network = read_network(root)
        told = open_table(root, "predictions").of(self.ids)
        have = {own: k for k, own in enumerate(told["image_id"].to_pylist())}
        logits = _matrix(told["logits"], len(network.classes))
        sound = {own for own, k in have.items() if np.isfinite(logits[k]).all()}
        broken = dict.fromkeys(set(have) - sound, "logits")
        taken: dict[str, pa.Table] = {}
        for layer in params.layers:
            taken[layer] = open_table(root, f"activations/{folder(layer)}").of([i for i in self.ids if i in have])
            broken |= dict(self._broken(taken[layer], layer, network))
        for row, own in enumerate(self.ids):
            if own not in have:
                self.reject(row, f"model.tables has nothing of it (image_id {own})")
            elif own in broken:
                self.reject(row, f"the tables hold NaN or infinite values ({broken[own]})")
            else:
                self.kept.append(row)
        kept = [self.ids[row] for row in self.kept]
        scores = logits[[have[own] for own in kept]]
        self._put("predictions", logits=scores, probabilities=probabilities(scores, network.kind))
        for layer in params.layers:
            self._layer(layer, taken[layer], network, dict(zip(kept, scores, strict=True)))
        for layer in params.features:
            means = open_table(root, f"features/{folder(layer)}").of(kept)["features"]
            vectors = _matrix(means, network.layers[layer].channels)
            self._put(f"{layer} features", vector=self._narrow(vectors, f"the features of layer {layer}"))

    def _broken(self, rows: pa.Table, layer: str, network: Network) -> Iterator[tuple[str, str]]:
        sizes = {"activation": network.layers[layer].channels}
        sizes |= {"attribution": len(network.attributed)} if self.state["attributed"] else {}
        for column, size in sizes.items():
            wrong = np.flatnonzero(~np.isfinite(_matrix(rows[column], size)).all(1))
            yield from ((own, f"layer {layer}") for own in rows["image_id"].take(pa.array(wrong)).to_pylist())

    def _layer(self, layer: str, rows: pa.Table, network: Network, scores: dict[str, np.ndarray]) -> None:
        places = {own: row for row, own in enumerate(self.ids)}
        own = rows["image_id"].to_pylist()
        here = np.array([o in scores for o in own], bool)
        image = np.array([places[o] for o in own], np.int64)[here]
        vectors = _matrix(rows["activation"], network.layers[layer].channels)[here]
        axes = {axis: rows[axis].to_numpy().astype(np.int16)[here] for axis in ("row", "col")}
        self._put(layer, image=image, **axes, activation=self._narrow(vectors, f"layer {layer}"))
        if not self.state["attributed"]:
            return
        columns = [network.attributed.index(k) for k in self.state["attributed"]]
        argued = _matrix(rows["attribution"], len(network.attributed))[here][:, columns]
        if self.state["top"]:
            logits = np.stack([scores[o] for o, is_here in zip(own, here, strict=True) if is_here])
            kinds = best(logits, TOP_ATTRIBUTED).astype(np.int32)
            argued = np.take_along_axis(argued, np.argsort(self.state["attributed"])[kinds], 1)
            self._put(layer, attributed_classes=kinds)
        self._put(layer, attribution=self._narrow(argued, f"layer {layer}"))


def _matrix(column: pa.ChunkedArray, size: int) -> np.ndarray:
    """A column of vectors as an array (rows, size)."""
    return to_numpy(column) if len(column) else np.zeros((0, size), np.float32)


def probabilities(logits: np.ndarray, kind: str) -> np.ndarray:
    """What a softmax or sigmoids make of logits (n, K), float32; quantities as they are."""
    wide = logits.astype(np.float64)
    if kind == "quantity":
        return logits
    if kind == "sigmoid":
        return (1 / (1 + np.exp(-np.clip(wide, -700, 700)))).astype(np.float32)
    powers = np.exp(wide - wide.max(1, keepdims=True, initial=-np.inf))
    return (powers / powers.sum(1, keepdims=True)).astype(np.float32)
