"""The sentences of posters and page: what an atlas is, how it was laid out, what its signs mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from activation_atlas.stages.drawing.numbers import percent, plural, thousands
from activation_atlas.stages.report.evidence import Atlas, Grid

REDUCERS = {"umap": "UMAP", "tsne": "t-SNE", "pca": "principal components"}


def title(atlas: Atlas) -> str:
    if atlas.view.pair:
        return f"{atlas.view.pair[0]}  ↔  {atlas.view.pair[1]}"
    if atlas.view.class_ is not None:
        return atlas.view.class_
    return atlas.name


def subtitle(atlas: Atlas, model: str) -> str:
    """One line: whose activations, and which of them."""
    layer = f"{atlas.view.layer} of {model}" if model else atlas.view.layer
    if atlas.view.pair:
        return f"Pair atlas: what {layer} holds for one class, and what for the other"
    if atlas.view.class_ is not None and atlas.view.keep == "winner":
        return f"Class atlas: all that {layer} takes as speaking for “{atlas.view.class_}” before any other class"
    if atlas.view.class_ is not None:
        return f"Class atlas: what in {layer} speaks most for “{atlas.view.class_}”"
    if atlas.view.images:
        return f"Every photograph placed by what {layer} makes of it as a whole"
    return f"What {layer} tells apart: like lies next to like"


def model_name(about: Mapping[str, Any]) -> str:
    """The model's name as the configuration gives it, without folder and suffix."""
    model = (about.get("config") or {}).get("model") or {}
    for key in ("application", "preset"):
        if model.get(key):
            return str(model[key])
    path = str(model.get("path") or model.get("tables") or "").rstrip("/")
    return path.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]


def things(atlas: Atlas) -> str:
    return "photographs" if atlas.view.images else "activations"


def measures(atlas: Atlas, grid: Grid, model: str) -> str:
    """One line of what was laid out and how well."""
    rows = int(grid.count.sum())
    parts = [
        plural(rows, "photograph")
        if atlas.view.images
        else plural(rows, "activation") + (f" from {plural(atlas.images, 'photograph')}" if atlas.images else "")
    ]
    if atlas.view.pair:
        parts[0] += f", the {thousands(atlas.view.rows)} that speak most for each class"
    parts.append(f"layer {atlas.view.layer}" + (f" of {model}" if model else ""))
    method = atlas.metrics.get("method")
    if method:
        parts.append(REDUCERS.get(str(method), str(method)))
    for key in ("trustworthiness", "neighbour_preservation"):
        value = scalar(atlas.metrics.get(key))
        if value is not None:
            parts.append(f"{key.replace('_', ' ')} {value:.2f}")
    parts.append(f"{grid.n} × {grid.n} grid, {plural(len(grid), 'occupied cell')}")
    return "  ·  ".join(parts)


def argued(extract: Mapping[str, Any]) -> str:
    """What an attribution is, by how it was taken; empty where there is none."""
    if not extract.get("attributed"):
        return ""
    if extract.get("kind") == "quantity":
        return argued({**extract, "kind": ""}).replace("class’s logit", "quantity")
    side = extract.get("window", 1)
    block = f"its block of {side} × {side} positions" if side > 1 else "it"
    if extract.get("by") == "insertion":
        return f"what each class’s logit gains when {block} is put into the layer’s map of a plain grey image"
    if extract.get("by") == "removal":
        return f"what each class’s logit loses without {block}"
    return "how much it adds to, or takes from, each class’s logit (activation × gradient)"


def purity(atlas: Atlas) -> str:
    """Whose photographs a class or pair atlas shows, beside the whole layer; empty where that was not measured."""
    told = []
    for side in atlas.purity:
        kind, what = ("predicted", "taken for") if side["predicted"] else ("label", "labelled")
        if side[kind]:
            share, low, high = side[kind]
            base = side["base" if kind == "predicted" else "label_base"]
            told.append(
                f"{percent(share, 0)} (95 %: {100 * low:.0f} to {percent(high, 0)}) "
                f"{'of its rows are' if len(atlas.purity) == 1 else 'on the side of ' + side['class'] + ' are'} of "
                f"photographs {what} {side['class'] if len(atlas.purity) == 1 else 'it'}, "
                f"{percent(base, 0 if base >= 0.0995 else 1)} of all of the layer’s"
            )
            if kind == "predicted" and side["label"]:  # where they part, something else is taken for the class
                share, low, high = side["label"]
                told[-1] += f"; {percent(share, 0)} ({100 * low:.0f} to {percent(high, 0)}) of those labelled so"
    return ";  ".join(told)


def scalar(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    return None


def fidelity(grid: Grid) -> str:
    """One line on how faithful the icons are; empty without icons."""
    facts = faithfulness(grid)
    if not facts:
        return ""
    return (
        f"Icons: {facts['icons']} drawn; {percent(facts['raw_right'], 0)} match their own cell better than any other "
        f"({percent(facts['right'], 0)} by whitened direction), median cosine to the cell {facts['cosine']:.2f}, "
        f"median contrast {facts['contrast']:.2f}"
    )


def faithfulness(grid: Grid) -> dict[str, float]:
    """Medians of the icons' fidelity and shares of retrieval ranks that are 0; empty without icons."""
    drawn = np.array([icon is not None for icon in grid.icons])
    if not drawn.any():
        return {}

    def of(name: str) -> np.ndarray:
        values = grid.fidelity[name][drawn]
        return values[np.isfinite(values)]

    return {
        "icons": int(drawn.sum()),
        "cosine": float(np.median(of("cosine"))) if len(of("cosine")) else float("nan"),
        "contrast": float(np.median(of("contrast"))) if len(of("contrast")) else float("nan"),
        "right": float(np.mean(of("retrieval_rank") == 0)) if len(of("retrieval_rank")) else float("nan"),
        "raw_right": float(np.mean(of("retrieval_rank_raw") == 0)) if len(of("retrieval_rank_raw")) else float("nan"),
    }
