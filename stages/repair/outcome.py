"""What a repair changes on held-out images: rows of the table `repair`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.intervals import paired, wilson

Row = dict[str, Any]

AS_THEY_ARE, PASTED, BOTH = "as they are", "pasted", "both"


@dataclass(frozen=True)
class Told:
    """Images, and what the old and the new last layer take each for: label, before, after (n,) class indices."""

    label: np.ndarray
    before: np.ndarray
    after: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def some(self, chosen: np.ndarray) -> Told:
        return Told(self.label[chosen], self.before[chosen], self.after[chosen])


def fits(pairs: Sequence[tuple[int, int]], classes: Sequence[int], cue: int, target: int) -> dict[int | None, str]:
    """How each class was fitted against a cue, and under None how all others than its own were.

    Args:
        pairs: cues and classes that it was pasted on.
    """
    of: dict[int | None, str] = {k: PASTED if (cue, k) in pairs else AS_THEY_ARE for k in classes}
    others = {way for k, way in of.items() if k != target}
    if (cue, target) in pairs:
        of[target] = BOTH
    return {**of, None: others.pop() if len(others) == 1 else BOTH if others else AS_THEY_ARE}


def rows(
    held: Told,
    cues: np.ndarray,
    pasted: Sequence[tuple[Told, np.ndarray]],
    about: Sequence[tuple[int, int, Mapping[int | None, str]]],
) -> list[Row]:
    """The table.

    Args:
        held: all held-out images.
        cues: (n, J) which cue each carries.
        pasted: of each cue the images with it pasted on, and what the old layer takes them for without it.
        about: of each cue its candidate, its class and :func:`fits`.
    """
    bare = held.some(~np.any(cues, axis=1))
    right = bare.label == bare.before
    plain = {k: float(right[bare.label == k].mean()) for k in np.unique(bare.label).tolist()}
    found = [*_rows(held, None, "all"), *_rows(bare, None, "without")]
    for j, one in enumerate(about):
        own = held.some(cues[:, j])
        found += _rows(own, one, "with", np.array([plain.get(k, np.nan) for k in own.label.tolist()]))
        changed, as_it_was = pasted[j]
        found += _rows(changed, one, "pasted", (changed.label == as_it_was).astype(np.float64))
    return found


def _rows(
    told: Told,
    about: tuple[int, int, Mapping[int | None, str]] | None,
    shown: str,
    expected: np.ndarray | None = None,
) -> Iterator[Row]:
    """Of all images together, and of each class that there is.

    Args:
        expected: (n,) how surely each would be right without the cue.
    """
    if not len(told):
        return
    everything = np.ones(len(told), bool)
    for k, chosen in [(None, everything), *((k, told.label == k) for k in np.unique(told.label).tolist())]:
        some = told.some(chosen)
        before, after = some.before == some.label, some.after == some.label
        row: Row = {"candidate": None, "class": k, "shown": shown, "fit": None, "images": len(some)}
        row |= _share("before", before) | _share("after", after)
        gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
        row["change"] = (gained - lost) / len(some)
        row["change_low"], row["change_high"] = paired(gained, lost, len(some))
        row |= dict.fromkeys(("reference", "recovered", "taken_before", "taken_after"))
        if about is not None and expected is not None:
            candidate, target, ways = about
            row |= {"candidate": candidate, "fit": ways.get(k, AS_THEY_ARE)}
            reference = float(expected[chosen].mean())
            row["reference"] = reference if np.isfinite(reference) else None
            if _lost(before, expected[chosen]):
                row["recovered"] = row["change"] / (reference - row["before"])
            others = some.label != target
            if others.any():
                row["taken_before"] = float((some.before[others] == target).mean())
                row["taken_after"] = float((some.after[others] == target).mean())
        yield row


def _lost(before: np.ndarray, expected: np.ndarray) -> bool:
    """Whether surely fewer are right than without the cue: a share of what is next to nothing would be anything."""
    gained, lost = float(before @ (1 - expected)), float(~before @ expected)
    return paired(gained, lost, len(before))[1] < 0


def _share(name: str, hit: np.ndarray) -> Row:
    low, high = wilson(int(hit.sum()), len(hit))
    return {name: float(hit.mean()), f"{name}_low": low, f"{name}_high": high}
