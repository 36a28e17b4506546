"""predictions -> measures: how often the model is right, class by class, or how far off its quantities are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from activation_atlas.stages import tables
from activation_atlas.stages.intervals import wilson
from activation_atlas.stages.measures.of_labels import Ranked, average_precision, best_f1, f1
from activation_atlas.stages.measures.of_quantities import NAMES, errors
from activation_atlas.stages.measures.resampling import draws, interval
from activation_atlas.stages.specs import Spec
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, one_shard
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import Values, Worst, assigned, labelled, right, task_of

Row = dict[str, Any]


class Params(Spec):
    seed: int = 0


def fit(inputs: Inputs, params: Params) -> State:
    """All measures.

    Returns:
        rows: of the table; errors: of quantities, from which residual an image is an error (:class:`Worst`);
        metrics: those of the whole run.
    """
    said = inputs.table("predictions", ["image_id", "label", "pred", "correct", "logits"]).sort_by("image_id")
    extract = inputs.state("extract", "")
    task, classes = task_of(said.schema.field("label").type), extract["classes"]
    state: State = {}
    if task.measured:
        values = Values.of(said, len(classes))
        worst = Worst.of(values)
        state["errors"] = {"scale": list(worst.scale), "least": worst.least if np.isfinite(worst.least) else 0.0}
        rows = list(_of_quantities(values, classes, params.seed))
    else:
        known = said.filter(pa.array(labelled(said["label"])))
        rows = _overall(known)
        if task.several:
            rows += list(_of_labels(known, extract, params.seed))
        else:
            rows += list(_of_classes(known, classes))
    plain = {f"{row['name'] or 'all'} {row['measure']}": row["value"] for row in rows if row["class"] is None}
    told = plain | {f"{row['name']} {row['measure']}": row["value"] for row in rows if task.measured}
    return {**state, "rows": rows, "metrics": told}


def _row(kind: int | None, name: str | None, measure: str, value: Any, low: Any, high: Any, **more: Any) -> Row:
    numbers = {"value": value, "low": low, "high": high, "threshold": more.get("threshold")}
    numbers = {key: None if v is None or not np.isfinite(v) else float(v) for key, v in numbers.items()}
    counts = {key: int(more[key]) if more.get(key) is not None else None for key in ("images", "positives")}
    return {"class": kind, "name": name, "measure": measure, **numbers, **counts}


def _share(kind: int | None, name: str | None, measure: str, hits: Any, of: Any, **more: Any) -> Row:
    if not of:
        return _row(kind, name, measure, None, None, None, **more)
    return _row(kind, name, measure, hits / of, *wilson(float(hits), float(of)), **more)


def _overall(known: pa.Table) -> list[Row]:
    n = len(known)
    return [_share(None, None, "accuracy", int(right(known["correct"]).sum()), n, images=n)] if n else []


def _of_classes(known: pa.Table, classes: list[str]) -> Iterator[Row]:
    """Recall and precision of each class that occurs."""
    label, pred = (assigned(known[name]) for name in ("label", "pred"))
    hit = right(known["correct"])
    found = np.bincount(label.index[hit[label.image]], minlength=len(classes))
    of, called = label.counts(len(classes)), pred.counts(len(classes))
    for k in np.flatnonzero(of + called).tolist():
        more = {"images": len(known), "positives": of[k]}
        yield _share(k, classes[k], "recall", found[k], of[k], **more)
        yield _share(k, classes[k], "precision", found[k], called[k], **more)


def _of_labels(known: pa.Table, extract: State, seed: int) -> Iterator[Row]:
    """Of each class average precision, recall, precision and F1 at its threshold, and its best F1; and their means."""
    classes, n = extract["classes"], len(known)
    if not n:
        return
    truth, called = (_many_hot(known[name], len(classes)) for name in ("label", "pred"))
    odds = to_numpy(known["logits"])
    ranked = [Ranked.of(odds[:, k], truth[:, k]) for k in range(len(classes))]
    precision = np.array([average_precision(one) for one in ranked])
    drawn_ap, drawn_f1 = [], []
    for times in draws(n, seed):
        drawn_ap.append([average_precision(one, times) for one in ranked])
        drawn_f1.append(f1(times @ (truth & called), times @ called, times @ truth))
    low, high = interval(np.array(drawn_ap))
    found, said, positives = ((truth & called).sum(0), called.sum(0), truth.sum(0))
    own_f1, (f1_low, f1_high) = f1(found, said, positives), interval(np.array(drawn_f1))
    occur = np.isfinite(precision)
    if occur.any():
        drawn = np.array(drawn_ap)[:, occur]
        count = np.isfinite(drawn).sum(1)  # a class may not be drawn at all
        means = np.where(count > 0, np.nansum(drawn, 1) / np.maximum(count, 1), np.nan)
        yield _row(None, None, "mean_average_precision", precision[occur].mean(), *interval(means), images=n)
    for k, name in enumerate(classes):
        more = {"images": n, "positives": positives[k]}
        at = more | {"threshold": extract["thresholds"][k]}
        yield _row(k, name, "average_precision", precision[k], low[k], high[k], **more)
        yield _row(k, name, "f1", own_f1[k], f1_low[k], f1_high[k], **at)
        yield _share(k, name, "recall", found[k], positives[k], **at)
        yield _share(k, name, "precision", found[k], said[k], **at)
        best, score = best_f1(ranked[k])
        yield _row(k, name, "best_f1", best, None, None, **more, threshold=1 / (1 + np.exp(-score)))


def _many_hot(column: pa.ChunkedArray, classes: int) -> np.ndarray:
    """(n, K) bool."""
    of = assigned(column)
    hot = np.zeros((len(of), classes), bool)
    hot[of.image, of.index] = True
    return hot


def _of_quantities(values: Values, names: list[str], seed: int) -> Iterator[Row]:
    known = np.isfinite(values.residual).all(1)
    residual, label, n = values.residual[known], values.label[known], int(known.sum())
    if not n:
        return
    found = errors(residual, label)
    low, high = interval(np.stack([errors(residual, label, times) for times in draws(n, seed)]))
    for k, name in enumerate(names):
        for j, measure in enumerate(NAMES):
            yield _row(k, name, measure, found[j, k], low[j, k], high[j, k], images=n)


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """What ``fit`` found, as a table."""
    rows = [{"place": k, **row} for k, row in enumerate(inputs.state()["rows"])]
    return {"measures": pa.Table.from_pylist(rows, schema=tables.measures())}


STAGE = Stage(
    name="measures",
    version=2,
    about="predictions -> measures: how often the model is right, class by class, or how far off its quantities are",
    params=Params,
    shards=one_shard,
    run=run,
    reads=lambda params: {},
    writes=lambda params: ("measures",),
    fit=fit,
    fit_reads=lambda params: ("predictions",),
    state_of=lambda params: (("extract", ""),),
    libraries=("numpy",),
    steps=lambda asked: [("", {"seed": asked.config.run.seed})],
)
