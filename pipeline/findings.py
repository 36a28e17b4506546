"""What a run found that somebody should look at, and what of it is new or worse than before."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from activation_atlas.pipeline.store import Store

SURE = 0.05
Finding = dict[str, Any]
"""``key`` (what it is of; the same in every run), ``count``, ``size`` with its interval ``low`` and ``high`` (larger is
worse; None where nothing is measured) and ``text``."""
_RISING = ("mae", "rmse")
"""Measures that are worse where they are larger."""


def findings(store: Store, tables: Collection[str]) -> list[Finding]:
    """What some tables of a run folder hold: doubts about the set-up, verified cues by class, groups that the model is
    surely worse on, and slices that surely fail."""
    present = set(store.tables()) & set(tables)
    found: list[Finding] = []
    for name, look in _LOOKS.items():
        if name in present:
            found += look(store)
    return found


def measured(store: Store, tables: Collection[str]) -> dict[str, list[float | None]]:
    """What was measured over the whole run, by name: value and 95 % interval; of quantities mae, by output."""
    if "measures" not in {*store.tables()} & {*tables}:
        return {}
    rows = _rows(store, "measures", "class", "name", "measure", "value", "low", "high")
    whole = [row for row in rows if row["class"] is None] or [row for row in rows if row["measure"] == "mae"]
    return {
        " ".join(filter(None, (row["name"], row["measure"]))): [_round(row[k]) for k in ("value", "low", "high")]
        for row in whole
    }


def worse(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is new or surely worse, from one line of the history to another: key, state (``new`` or ``worse``) and text.

    A finding is worse where there is more of it, or where it surely grew: by the intervals of both (Newcombe 1998; Zou
    2007), as of separate images. Of runs that share their images they are wider than they need be.
    """
    known = {finding["key"]: finding for finding in before.get("findings", ())}
    found = []
    for finding in after.get("findings", ()):
        old = known.get(finding["key"])
        if old is None:
            found.append({"key": finding["key"], "state": "new", "text": finding["text"]})
        elif finding["count"] > old["count"] or grew(_interval(old), _interval(finding)):
            found.append({"key": finding["key"], "state": "worse", "text": finding["text"]})
    old_measures = before.get("measures", {})
    for name, figures in after.get("measures", {}).items():
        if name in old_measures:
            one, two = old_measures[name], figures
            if not name.endswith(_RISING):
                one, two = _turned(one), _turned(two)
            if grew(one, two):
                was, now = old_measures[name][0], figures[0]
                found.append({"key": name, "state": "worse", "text": f"{name} is {now:.4g}, was {was:.4g}"})
    return found


def grew(before: Sequence[float | None], after: Sequence[float | None]) -> bool:
    """Whether a value with its 95 % interval is surely larger than another (value, low, high)."""
    (one, _, one_high), (two, two_low, _) = before, after
    if one is None or one_high is None or two is None or two_low is None:
        return False
    return two - one > math.hypot(two - two_low, one_high - one)


def _interval(finding: Finding) -> list[float | None]:
    return [finding["size"], finding["low"], finding["high"]]


def _turned(figures: Sequence[float | None]) -> list[float | None]:
    value, low, high = (None if v is None else -v for v in figures)
    return [value, high, low]


def _finding(key: str, count: int, text: str, *size: float | None) -> Finding:
    value, low, high = (_round(v) for v in size or (None, None, None))
    return {"key": key, "count": count, "size": value, "low": low, "high": high, "text": text}


def _round(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 6)


def _rows(store: Store, table: str, *columns: str) -> list[dict[str, Any]]:
    return [row for part in range(store.parts(table)) for row in store.read(table, part, columns).to_pylist()]


def _doubts(store: Store) -> Iterator[Finding]:
    for row in _rows(store, "doubts", "kind", "message"):
        yield _finding(f"doubt: {row['kind']}", 1, row["message"])


def _cues(store: Store) -> Iterator[Finding]:
    """By class, with the largest gap: which of its cues is which cannot be told once the atlas was fitted anew."""
    rows = _rows(store, "cues", "class", "verdict", "gap", "gap_low", "gap_high", "text")
    classes = store.read_state("extract", "")["classes"]
    verified: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["verdict"] == "verified":
            verified.setdefault(row["class"], []).append(row)
    for index, own in sorted(verified.items()):
        top = max(own, key=lambda row: row["gap"])
        yield _finding(f"cues of {classes[index]}", len(own), top["text"], top["gap"], top["gap_low"], top["gap_high"])


def _groups(store: Store) -> Iterator[Finding]:
    names = ("column", "value", "and_column", "and_value")
    for row in _rows(store, "groups", *names, "measure", "gap", "gap_low", "gap_high", "q_value", "text"):
        if row["q_value"] is None or row["q_value"] >= SURE or row["measure"] == "confidence":
            continue
        size = [row["gap"], row["gap_low"], row["gap_high"]]
        size = size if row["measure"] in _RISING else _turned(size)
        if size[0] is not None and size[0] > 0:
            also = f" and {row['and_column']} = {row['and_value']}" if row["and_column"] else ""
            yield _finding(f"group {row['column']} = {row['value']}{also}", 1, row["text"], *size)


def _slices(store: Store) -> Iterator[Finding]:
    """Together: they are found anew in each run."""
    numbers = ("error_rate", "low", "high")
    rows = _rows(store, "slices", "finder", "images", "q_value", "same_as", "base_rate", "about", *numbers)
    sure = [row for row in rows if row["q_value"] is not None and row["q_value"] < SURE and row["same_as"] is None]
    if sure:
        top = max(sure, key=lambda row: row["low"])
        many = "1 slice surely fails" if len(sure) == 1 else f"{len(sure)} slices surely fail"
        text = f"{many}; of the worst {top['images']} images {top['error_rate']:.0%} are wrong"
        text += f", of all {top['base_rate']:.0%}" + (f": {top['about']}" if top["about"] else "")
        yield _finding("slices", len(sure), text, *(top[name] for name in numbers))


_LOOKS = {"doubts": _doubts, "cues": _cues, "groups": _groups, "slices": _slices}
