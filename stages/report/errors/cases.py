"""Which images the page shows, in which order, and what all predictions of the run were taken for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from activation_atlas.stages.drawing.pages import file_name
from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tables import to_numpy
from activation_atlas.stages.tasks import CLASSES, Task, assigned, judged, labelled, mistaken, task_of

EACH = 4
"""Of every confusion (label, prediction), so many of the most confident mistakes are shown besides the worst of all."""


@dataclass
class Case:
    """One image, a mistake or explained: its file, label and what the model says of it; None where unknown.

    Of several labels a case is one image and one class of which it is wrong: ``label`` where it is missed, ``pred``
    where it is falsely called, of probability ``prob``; or an image that is right. Of quantities it is of no class.

    Attributes:
        true, called: values of the columns ``label`` and ``pred``.
        second: the class ranked second, and ``second_prob`` its probability.
        mistake: None where there is no label.
        rank: place among all that could be shown, from 1, in the order of the page.
    """

    image_id: str
    label: int | None
    pred: int | None
    prob: float | None
    label_prob: float | None
    second: int | None
    second_prob: float | None
    mistake: bool | None
    rank: int = 0
    uri: str = ""
    name: str = ""
    true: Any = None
    called: Any = None


@dataclass
class Audit:
    """What the page is made of.

    Attributes:
        cases: shown: mistakes first, then the rest; the most confident first, ties by image_id.
        task: the kind of answer.
        possible: cases that could be shown: images with a map, or mistakes.
        counts: (label, prediction) -> images that are of one class and taken for one, the right ones among them; of
            several labels (class, -1) -> images of which it is missed, (-1, class) -> of which it is falsely called.
        images: with a prediction, and ``labelled`` with a label, too. explained: with a map. mistakes,
            explained_mistakes: of these the mistakes.
        worst: so many cases are the worst of those with maps, then of the others; further ones stand for their
            confusion.
        lost: chosen images that could not be read again, so that a variant has no map of them: (uri, reason) by id.
    """

    cases: list[Case] = field(default_factory=list)
    task: Task = CLASSES
    counts: Counter[tuple[int, int]] = field(default_factory=Counter)
    images: int = 0
    labelled: int = 0
    possible: int = 0
    explained: int = 0
    mistakes: int = 0
    explained_mistakes: int = 0
    worst: int = 0
    lost: dict[str, tuple[str, str]] = field(default_factory=dict)


_COLUMNS = ["image_id", "label", "pred", "prob", "correct", "top_classes", "top_probs", "label_prob"]
NEITHER = -1
"""In the place of a class: that of a label that is none, or of a prediction that is none."""


def read_audit(inputs: Inputs, variants: Sequence[str], most: int, also: Sequence[str] = ()) -> Audit:
    """The cases to show of all mistakes and all images that any variant has a map of, and the whole run's confusions.

    Until it is known which are shown, an image is a row of an Arrow table: 100 bytes.

    Args:
        variants: names of tables ``maps/<variant>``, whose parts are of the same images as those of ``predictions``.
        most: images on the page; also: ids of images that are shown too; see :func:`chosen`.
    """
    audit, possible = Audit(), []
    parts = {f"maps/{v}": inputs.parts(f"maps/{v}") for v in variants}
    for number in range(inputs.parts("predictions")):
        part = inputs.part("predictions", number, _COLUMNS)
        audit.task = task_of(part.schema.field("label").type)
        part = judged(part, inputs.state("measures", "") if audit.task.measured else None)
        audit.images += len(part)
        audit.mistakes += int(mistaken(part["correct"]).sum())
        audit.labelled += int(labelled(part["label"]).sum())
        if not audit.task.several:
            audit.counts.update(pair for pair in _confusions(part) if min(pair) >= 0)
        ids = [inputs.part(t, number, ["image_id"])["image_id"] for t, count in parts.items() if number < count]
        among = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
        part = part.append_column("mapped", pc.is_in(part["image_id"], value_set=among))
        wanted = pc.or_(part["mapped"], _mistaken(part))
        if audit.task.several:
            logits = to_numpy(inputs.part("predictions", number, ["logits"])["logits"].filter(wanted))
            part = by_class(part.filter(wanted), 1 / (1 + np.exp(-logits.astype(np.float64))))
            audit.counts.update(pair for pair in _confusions(part) if pair != (NEITHER, NEITHER))
            possible.append(part)
        else:
            possible.append(part.filter(wanted))
    if possible:
        rows = pa.concat_tables(possible)
        audit.possible = len(rows)
        mapped = pc.count_distinct(rows["image_id"].filter(rows["mapped"]))
        audit.explained = mapped.as_py()
        both = rows["image_id"].filter(pc.and_(rows["mapped"], _mistaken(rows)))
        audit.explained_mistakes = pc.count_distinct(both).as_py()
        audit.cases = chosen(rows, most, also)
    for row in (r for v in variants for p in inputs.stream(f"rejects/explain-{v}") for r in p.to_pylist()):
        audit.lost[row["image_id"]] = row["uri"], row["reason"]
    audit.worst = min(most, audit.possible)
    _name(inputs, audit.cases)
    return audit


def _mistaken(rows: pa.Table) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(mistaken(rows["correct"]))])


def by_class(rows: pa.Table, probabilities: np.ndarray) -> pa.Table:
    """Rows of images of several labels, one for each class of which an image is wrong, and one of what is right.

    Args:
        probabilities: (n, K).

    Returns:
        with the columns ``missed`` and ``false``: the class, or :data:`NEITHER`; ``prob``: its probability; and
        ``severity``: how sure the model was, prob of what is falsely called, 1 - prob of what is missed.
    """
    label, pred = (assigned(rows[name]) for name in ("label", "pred"))
    missed, false = label.without(pred), pred.without(label)
    right_ones = np.setdiff1d(np.arange(len(rows)), np.concatenate([missed.image, false.image]))
    nothing = np.full(len(right_ones), NEITHER)
    image = np.concatenate([missed.image, false.image, right_ones])
    one = np.concatenate([missed.index, np.full(len(false.index), NEITHER), nothing])
    other = np.concatenate([np.full(len(missed.index), NEITHER), false.index, nothing])
    own = np.maximum(one, other)
    prob = np.where(own >= 0, probabilities[image, np.maximum(own, 0)], rows["prob"].to_numpy()[image])
    found = rows.take(pa.array(image)).drop_columns(["prob", "severity"])
    found = found.append_column("prob", pa.array(prob.astype(np.float32)))
    found = found.append_column("severity", pa.array(np.where(one >= 0, 1 - prob, prob)))
    for name, kinds in (("missed", one), ("false", other)):
        found = found.append_column(name, pa.array(kinds.astype(np.int32)))
    return found


def _confusions(rows: pa.Table) -> list[tuple[int, int]]:
    """(label, prediction) of each case; -1 for what is not one class."""
    if "missed" in rows.column_names:
        return list(zip(rows["missed"].to_pylist(), rows["false"].to_pylist(), strict=True))
    return list(zip(*(assigned(rows[name]).only.tolist() for name in ("label", "pred")), strict=True))


def chosen(possible: pa.Table, most: int, also: Sequence[str] = ()) -> list[Case]:
    """The ``most`` worst: mistakes before the rest, the most confident first; and the worst of every confusion.

    Images with maps were asked for, and go before others: of mistakes without one, there are as many as is room for.
    So that no confusion leads nowhere, up to :data:`EACH` mistakes of each are added, first the worst of every one,
    then the second worst, until there are twice ``most``.

    Args:
        possible: rows of ``predictions`` as :func:`judged` or :func:`by_class` gives them, and ``mapped``: bool.
        also: ids of images that other pages lead to, added where they are possible.
    """
    mistake = _mistaken(possible)
    order = [("mistake", "descending"), ("severity", "descending"), ("image_id", "ascending")]
    keys = possible.select(["severity", "image_id"]).append_column("mistake", mistake)
    if "missed" in possible.column_names:  # several cases of an image may be alike
        order += [("missed", "ascending"), ("false", "ascending")]
        keys = keys.append_column("missed", possible["missed"]).append_column("false", possible["false"])
    places = pc.sort_indices(keys, sort_keys=order)
    mapped = possible["mapped"].take(places).to_numpy()
    first = set(np.argsort(~mapped, kind="stable")[:most].tolist())
    confusions = _confusions(possible.take(places[: pc.sum(mistake).as_py() or 0]))
    shown, more = Counter(c for place, c in enumerate(confusions) if place in first), []
    for place, confusion in enumerate(confusions):
        if place not in first and shown[confusion] < EACH:
            more.append((shown[confusion], place))
            shown[confusion] += 1
    led = pc.is_in(possible["image_id"].take(places), value_set=pa.array(also, pa.string())).to_numpy()
    kept = sorted(first.union((place for _, place in sorted(more)[:most]), np.flatnonzero(led).tolist()))
    rows = possible.take(places.take(pa.array(kept, pa.int64())))
    known, wrong = labelled(rows["correct"]).tolist(), mistaken(rows["correct"]).tolist()
    mistakes = [w if k else None for k, w in zip(known, wrong, strict=True)]
    each = zip(rows.to_pylist(), _confusions(rows), mistakes, kept, strict=True)
    return [_case(row, *pair, mistake, place + 1) for row, pair, mistake, place in each]


def _case(row: dict, label: int, pred: int, mistake: bool | None, rank: int) -> Case:
    # Of equal logits the first class is the prediction, so the second is the next one in the list.
    top, probs = ([], []) if "missed" in row else (row["top_classes"] or [], row["top_probs"] or [])
    return Case(
        image_id=row["image_id"],
        label=label if label >= 0 else None,
        pred=pred if pred >= 0 else None,
        prob=row["prob"],
        label_prob=row["label_prob"],
        second=top[1] if len(top) > 1 else None,
        second_prob=probs[1] if len(probs) > 1 else None,
        mistake=mistake,
        rank=rank,
        true=row["label"],
        called=row["pred"],
    )


def _name(inputs: Inputs, cases: Sequence[Case]) -> None:
    """Where each image is read from, and what a person calls it."""
    known: dict[str, list[Case]] = {}
    for case in cases:
        known.setdefault(case.image_id, []).append(case)
    ids = pa.array(sorted(known), pa.string())
    for part in inputs.stream("images"):
        # Images that lie in a table have no file of their own; many tables keep the name they once had.
        columns = ["image_id", "uri", *(c for c in ("meta.path",) if c in part.column_names)]
        for row in part.select(columns).filter(pc.is_in(part["image_id"], ids)).to_pylist():
            for case in known[row["image_id"]]:
                case.uri = row["uri"]
                case.name = file_name(str(row.get("meta.path") or row["uri"]))
