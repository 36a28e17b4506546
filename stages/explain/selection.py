"""Which images are explained: all, the errors, or a query over what is known of each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from stages.specs import nearest
from stages.stage import UserError

EVERY = ("all", "errors")


def frame(images: pa.Table, predictions: pa.Table, classes: Sequence[str]) -> Any:
    """What a query may name, one row for each prediction, as a pandas data frame.

    Columns: image_id, uri, label and pred and second (class names), prob, label_prob, second_prob, margin
    (prob - second_prob), correct, split, width, height, and the source's own columns under their own names.
    """
    import pandas as pd

    about = images.to_pandas().set_index("image_id").reindex(predictions["image_id"].to_pylist())
    names = np.array([*classes, None], object)
    label = predictions["label"].to_pandas()
    probs = predictions["top_probs"].to_pylist()
    top = predictions["top_classes"].to_pylist()
    columns = {
        "image_id": predictions["image_id"].to_pylist(),
        "uri": about["uri"].to_numpy(),
        "label": names[label.fillna(-1).astype(int).to_numpy()],
        "pred": names[predictions["pred"].to_numpy().astype(int)],
        "second": [names[t[1]] if len(t) > 1 else None for t in top],
        "prob": predictions["prob"].to_numpy(),
        "label_prob": predictions["label_prob"].to_pandas().to_numpy(dtype=float),
        "second_prob": np.array([p[1] if len(p) > 1 else 0.0 for p in probs], float),
        "correct": pd.array(predictions["correct"].to_pylist(), dtype="boolean"),
        "split": about["split"].to_numpy(),
        "width": about["width"].to_numpy(),
        "height": about["height"].to_numpy(),
    }
    columns["margin"] = columns["prob"] - columns["second_prob"]
    for name in about.columns:
        if name.startswith("meta."):
            columns.setdefault(name.removeprefix("meta."), about[name].to_numpy())
    return pd.DataFrame(columns)


def select(query: str, data: Any) -> np.ndarray:
    """Which rows of :func:`frame` are explained, (rows,) bool.

    Args:
        query: ``all``, ``errors``, or an expression of pandas' ``DataFrame.query``.

    Raises:
        UserError: the expression names no column, cannot be read, or does not say yes or no.
    """
    if query == "all":
        return np.ones(len(data), bool)
    if query == "errors":
        return (data["correct"] == False).fillna(False).to_numpy(bool)  # noqa: E712 - unknown is no error
    where = f"explain.images: {query}"
    if "@" in query or "__" in query:
        raise UserError(f"{where}: a query compares columns with values, and nothing else")
    try:
        found = data.eval(query, engine="python")
    except Exception as error:
        named = re.match(r"name '(.+?)' is not defined", str(error))
        if named:
            try:
                nearest(named[1], list(data.columns), "column")
            except ValueError as unknown:
                raise UserError(f"{where}: {unknown}") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f'{where}: cannot be read ({reason}); write e.g. label == "horse" and not correct') from None
    kind = getattr(getattr(found, "dtype", None), "name", "")
    if kind not in ("bool", "boolean", "object") or len(found) != len(data):
        raise UserError(f"{where}: says neither yes nor no; write a comparison, e.g. prob > 0.9")
    return found.fillna(False).to_numpy(bool) if kind != "bool" else found.to_numpy(bool)


def worst_first(data: Any) -> np.ndarray:
    """Order of the rows: errors before the rest, the most confident first, ties by image_id."""
    wrong = (data["correct"] == False).fillna(False).to_numpy(bool)  # noqa: E712
    return np.lexsort((data["image_id"].to_numpy(str), -data["prob"].to_numpy(), ~wrong))
