"""What came of a comparison, in sentences."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from activation_atlas.stages.compared.population import SURE
from activation_atlas.stages.drawing.numbers import percent, plural

if TYPE_CHECKING:
    from activation_atlas.stages.compared import Compared


def said(found: Compared) -> list[str]:
    """For a terminal, the whole first, what got worse last."""
    one, two = found.names
    changed = f"; {plural(found.changed, 'image')} changed under the same id" if found.changed else ""
    lines = [f"{one}: {found.images[0]:,} images; {two}: {found.images[1]:,}; {found.shared:,} in both{changed}"]
    whole = found.tables["sets"].slice(0, 1).to_pylist()[0]
    if whole["change"] is not None:
        lines.append(f"accuracy {accuracy(whole)}")
    if whole["changed"] is not None:
        lines.append(churn(whole))
    if found.population is not None:
        lines.append(population(found))
    lines += composition(found)
    if found.alike is not None:
        lines.append(similarity(found))
    if "cues" in found.tables:
        lines.append(findings(found))
    lines += [f"note: {note}" for note in found.notes]
    return lines + [f"worse: {line}" for line in found.worse]


def points(change: float, low: float | None, high: float | None) -> str:
    """A change of a share with its interval, in percentage points."""
    if low is None or high is None:
        return f"{100 * change:+.1f} points".replace("-", "−")
    return f"{100 * change:+.1f} points [{100 * low:.1f}, {100 * high:.1f}]".replace("-", "−")


def accuracy(row: dict[str, Any]) -> str:
    """Of one set."""
    change = points(row["change"], row["low"], row["high"])
    return f"{percent(row['accuracy'])} → {percent(row['other_accuracy'])}: {change}"


def churn(row: dict[str, Any]) -> str:
    """Of one set's shared images."""
    span = f"[{100 * row['churn_low']:.1f}, {100 * row['churn_high']:.1f}]"
    text = f"{percent(row['churn'])} {span} of {plural(row['shared'], 'shared image')} are predicted otherwise"
    if row["lost"] is None:
        return text
    p = p_words(row["mcnemar"])
    return f"{text}; {row['lost']:,} are no longer right, {row['gained']:,} newly right, McNemar p {p}"


def p_words(value: float) -> str:
    """A p value after its letter."""
    if math.isnan(value):
        return "unknown"
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"


def population(found: Compared) -> str:
    """How many cells have changed."""
    cells = found.population
    assert cells is not None
    of = {state: cells.count(state) for state in ("grew", "shrank", "appeared", "emptied")}
    few = cells.table["p_value"].null_count
    tail = f"; {few:,} cells hold too few images to tell" if few else ""
    return (
        f"of {len(cells.table):,} cells {of['grew']:,} surely hold a larger share of the images and {of['shrank']:,} a "
        f"smaller one, {of['appeared']:,} appeared and {of['emptied']:,} emptied (q < {SURE:g}){tail}; all cells "
        f"together p {p_words(cells.p_value)}"
    )


def composition(found: Compared) -> list[str]:
    """Classes and groups that are surely a larger or smaller share of the images."""
    return [
        f"{named(row)} is {percent(row['share'])} → {percent(row['other_share'])} of the images: "
        f"{points(row['share_change'], row['share_low'], row['share_high'])}"
        for row in found.tables["sets"].to_pylist()
        if row["share_q"] is not None and row["share_q"] < SURE
    ]


def similarity(found: Compared) -> str:
    """Of two models' layers."""
    a = found.alike
    assert a is not None
    return (
        f"of {a.images:,} shared images: CKA {a.cka:.3f} [{a.cka_low:.3f}, {a.cka_high:.3f}] (unbiased); of an image’s "
        f"{a.near} nearest {percent(a.neighbours)} [{100 * a.neighbours_low:.1f}, {100 * a.neighbours_high:.1f}] "
        f"are the same, by chance {percent(a.chance)}"
    ).replace("-", "−")


def findings(found: Compared) -> str:
    """How many verified cues are in which state."""
    states = found.tables["cues"]["state"].to_pylist()
    if not states:
        return "no cue is verified in either run"
    kinds = [f"{states.count(state):,} {state}" for state in dict.fromkeys(states)]
    return f"verified cues: {', '.join(kinds)}"


def cue(row: dict[str, Any]) -> str:
    """One finding."""

    def gap(other: str) -> str:
        low, high = (100 * row[f"{other}gap_{end}"] for end in ("low", "high"))
        return f"{100 * row[f'{other}gap']:.0f} points [{low:.0f}, {high:.0f}]".replace("-", "−")

    before = f"{row['verdict']}, {gap('')}" if row["verdict"] else "not found"
    after = f"{row['other_verdict']}, {gap('other_')}" if row["other_verdict"] else "not found"
    return f"cue of {row['class']} is {row['state']}: {before} → {after}"


def worse(found: Compared) -> list[str]:
    """Sets whose accuracy surely fell by more than the margin, and cues that are new or worse."""
    lines = []
    for row in found.tables["sets"].to_pylist():
        sure = row["q_value"] is not None and row["q_value"] < SURE
        if sure and row["high"] is not None and row["high"] < -found.margin:
            lines.append(f"accuracy of {named(row)} {accuracy(row)}")
    if "cues" in found.tables:
        lines += [cue(row) for row in found.tables["cues"].to_pylist() if row["state"] in ("new", "worse")]
    return lines


def named(row: dict[str, Any]) -> str:
    """A set in words."""
    return f"class {row['name']}" if row["kind"] == "class" else str(row["name"])
