"""Which images are explained: all, the errors, or a query over what is known of each."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.explain.members import by_member
from activation_atlas.stages.specs import nearest
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.tasks import Values, assigned, mistaken, task_of

EVERY = ("all", "errors")


def frame(images: pa.Table, predictions: pa.Table, classes: Sequence[str]) -> Any:
    """What a query may name, one row for each prediction, as a pandas data frame.

    Columns: image_id, uri, correct, split, width, height, and the source's own columns under their own names; one that
    is called like one of these as ``meta.NAME``. Of classes: label and pred, missed (of the label, and not predicted)
    and false (predicted, and not of the label), second (class names; of several classes each equals the text), prob,
    label_prob, second_prob, margin (prob - second_prob). Of quantities: residual (pred - label without its sign, of
    several the largest), and of each one by its name its pred, label and residual: ``pred NAME`` and so on.
    """
    import pandas as pd

    # Types that know the unknown: a missing number would else differ from every other, and be chosen by !=.
    about = images.to_pandas(types_mapper=_nullable().get).set_index("image_id")
    about = about.reindex(predictions["image_id"].to_pylist())
    task = task_of(predictions.schema.field("label").type)
    columns: dict[str, Any] = {
        "image_id": predictions["image_id"].to_pylist(),
        "uri": about["uri"].to_numpy(),
        **(_measured(predictions, classes) if task.measured else _named(predictions, classes)),
        "correct": predictions["correct"].to_pandas(types_mapper=_nullable().get).array,
        "split": about["split"].to_numpy(),
        "width": about["width"].to_numpy(),
        "height": about["height"].to_numpy(),
    }
    for name in about.columns:
        if name.startswith("meta."):
            own = name.removeprefix("meta.")
            columns[name if own in columns else own] = about[name].array
    found = pd.DataFrame(columns)
    if "severity" in predictions.column_names:
        found.attrs["severity"] = predictions["severity"].to_numpy()
    return found


def _named(predictions: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """What a query may name of classes."""
    import pandas as pd

    label, pred = (assigned(predictions[name]) for name in ("label", "pred"))
    second = pc.list_element(predictions["top_classes"], 1).to_numpy()
    told = {"label": label, "pred": pred, "missed": label.without(pred), "false": pred.without(label)}
    columns: dict[str, Any] = {name: pd.Series(of.names(classes), dtype=object) for name, of in told.items()}
    columns |= {
        "second": np.array(classes, object)[second.astype(int)],
        "prob": predictions["prob"].to_numpy(),
        "label_prob": predictions["label_prob"].to_pandas(types_mapper=_nullable().get).array,
        "second_prob": pc.list_element(predictions["top_probs"], 1).to_numpy().astype(float),
    }
    return columns | {"margin": columns["prob"] - columns["second_prob"]}


def _measured(predictions: pa.Table, classes: Sequence[str]) -> dict[str, Any]:
    """What a query may name of quantities."""
    import pandas as pd

    values = Values.of(predictions, len(classes))
    apart = np.abs(values.residual)
    columns = {"residual": apart.max(1)}
    for k, name in enumerate(classes):
        alone = {"pred": values.pred[:, k], "label": values.label[:, k], "residual": apart[:, k]}
        columns |= {f"{what} {name}": value for what, value in alone.items()}
        if len(classes) == 1:
            columns |= alone
    return {name: pd.array(value, dtype="Float64") for name, value in columns.items()}


def _nullable() -> dict[pa.DataType, Any]:
    """The types of pandas in which a missing value is unknown, by Arrow's."""
    import pandas as pd

    whole = (pd.Int8Dtype, pd.Int16Dtype, pd.Int32Dtype, pd.Int64Dtype)
    counts = (pd.UInt8Dtype, pd.UInt16Dtype, pd.UInt32Dtype, pd.UInt64Dtype)
    kinds: list[Any] = [kind() for kind in (*whole, *counts, pd.Float32Dtype, pd.Float64Dtype, pd.BooleanDtype)]
    return {pa.from_numpy_dtype(kind.numpy_dtype): kind for kind in kinds}


def select(query: str, data: Any) -> np.ndarray:
    """Which rows of :func:`frame` are explained, (rows,) bool.

    Args:
        query: ``all``, ``errors``, or an expression of pandas' ``DataFrame.query`` over each image by itself. What is
            unknown (whether an unlabelled image is correct) is not chosen.

    Raises:
        UserError: the expression names no column, cannot be read, or does not say yes or no.
    """
    import pandas as pd

    if query == "all":
        return np.ones(len(data), bool)
    if query == "errors":
        return mistaken(data["correct"])
    query = " ".join(query.splitlines()).strip()
    if not query:
        raise UserError(f"explain.images: is empty; {_EXAMPLE}, or all, or errors")
    where = f"explain.images: {query}"
    _only_compares(query, list(data.columns), where)
    try:
        asked, seen = by_member(query, data)
        found = seen.eval(asked, engine="python")
    except Exception as error:
        raise UserError(f"{where}: cannot be read ({_reason(error)}); {_EXAMPLE}") from None
    answers = found.to_list() if np.shape(found) == (len(data),) and hasattr(found, "dtype") else ["none"]
    known = [None if answer is None or answer is pd.NA or answer != answer else answer for answer in answers]
    if not all(answer is None or isinstance(answer, (bool, np.bool_)) for answer in known):
        raise UserError(f"{where}: says neither yes nor no of each image; write a comparison, e.g. prob > 0.9")
    return np.array([answer is not None and bool(answer) for answer in known], bool)


def hidden(query: str, data: Any) -> list[str]:
    """Columns of the source that a sound query seems to name, and does not get: the run's own are called the same."""
    if query in EVERY:
        return []
    named = _only_compares(" ".join(query.splitlines()).strip(), list(data.columns), "")
    return [name for name in dict.fromkeys(named) if f"meta.{name}" in data.columns]


_EXAMPLE = 'write e.g. label == "horse" and not correct'
_QUOTED = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|`[^`]*`""")
ATTRIBUTES = {"str", "contains", "startswith", "endswith", "lower", "upper", "len", "isna", "notna", "isin", "between"}
"""What may follow a dot in a query: pandas would call any method of a column, also one that writes a file."""


def _only_compares(query: str, columns: Sequence[str], where: str) -> list[str]:
    """The columns that a query names; refuses what is more than their comparison with values, before pandas sees it.

    Raises:
        UserError: not one expression, a name that is no column, a call of what a query has no need of.
    """
    quoted = [match[0][1:-1] for match in _QUOTED.finditer(query) if match[1] is None]
    text = _QUOTED.sub(lambda match: match[1] or "_", query)  # `a column` of pandas is no Python
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError) as error:
        hint = "write == to compare" if re.search(r"[^=!<>]=[^=]", text) else _EXAMPLE
        raise UserError(f"{where}: cannot be read ({_reason(error)}); {hint}") from None
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr not in ATTRIBUTES:
            raise UserError(f"{where}: .{node.attr} is no part of a query, which compares columns with values")
        if _looks_at_other_rows(node):
            raise UserError(f"{where}: an image is looked at by itself; compare its columns with ==, or with [values]")
    if "@" in _QUOTED.sub("", query) or '"""' in query or "'''" in query:
        raise UserError(f"{where}: a query compares columns with values, and nothing else")
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    try:
        names = [node.id for node in nodes if isinstance(node, ast.Name) and id(node) not in called]
        return [nearest(name, columns, "column") for name in [n for n in names if n != "_"] + quoted]
    except ValueError as unknown:
        raise UserError(f"{where}: {unknown}") from None


def _looks_at_other_rows(node: ast.AST) -> bool:
    """Whether pandas would search a whole column, or pick one of its rows: parts of a table would answer otherwise."""
    if isinstance(node, ast.Compare):
        pairs = zip(node.ops, node.comparators, strict=True)
        searched = [right for op, right in pairs if isinstance(op, (ast.In, ast.NotIn))]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "isin":
        searched = [*node.args, *(keyword.value for keyword in node.keywords)]
    elif isinstance(node, ast.Subscript):
        return not (isinstance(node.value, ast.Attribute) and node.value.attr == "str")
    else:
        return False
    return any(isinstance(part, ast.Name) for one in searched for part in ast.walk(one))


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].replace(" (<unknown>, line 1)", "")


def worst_first(data: Any) -> np.ndarray:
    """Order of the rows: errors before the rest, the most confident first (of quantities those farthest off), ties by
    image_id."""
    severity = data.attrs["severity"] if "severity" in data.attrs else data["prob"].to_numpy()
    return np.lexsort((data["image_id"].to_numpy(str), -severity, ~mistaken(data["correct"])))
