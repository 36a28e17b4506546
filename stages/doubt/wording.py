"""What is said of each doubt, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from activation_atlas.stages.doubt.chance import Chance
from activation_atlas.stages.doubt.finding import Doubt, Seen
from activation_atlas.stages.doubt.orders import Order, listed
from activation_atlas.stages.doubt.ranges import Tried
from activation_atlas.stages.intervals import wilson

_SHOWN = 12
"""Names of a list that are shown: more are in the figures."""

LOOK = "check model.range, model.classes and the labels before anything else here is read"


def share(value: float) -> str:
    """8.3 %."""
    return f"{100 * value:.1f} %"


def accuracy(found: Chance, because: bool) -> Doubt:
    """Labelled images that are no better classified than by chance; ``because``: another doubt tells why."""
    right = f"{found.right:,} of {found.n:,} labelled images are right ({share(found.right / found.n)})"
    by = "the same labels dealt out at random" if found.dealt else "a class at random"
    chance = f"{by} would have {found.expected:,.1f}".removesuffix(".0")
    than = "worse than" if found.worse else "no better than"
    low, high = wilson(found.right, found.n)
    figures = {"right": found.right, "labelled": found.n, "low": low, "high": high}
    figures |= {"chance": found.expected, "p": found.p}
    return Doubt("accuracy", f"{right}, {than} chance: {chance} right", "" if because else LOOK, figures)


def one_class(name: str, count: int, n: int, others: tuple[int, int] | None, prob: float) -> Doubt:
    """One class for nearly everything; ``others``: images with another label that are taken for it, of how many."""
    many = f"all {n:,}" if count == n else f"{count:,} of {n:,}"
    figures = {"class": name, "taken": count, "images": n, "probability": prob}
    taken = f"{many} images are taken for {name!r}"
    if others is None:
        said = f"{taken} (mean probability {share(prob)}), and labels that could tell are missing"
        return Doubt("one class", said, "if they do not all show it, check model.range and the model", figures)
    figures |= {"of others": others[0], "others": others[1]}
    of = f"all {others[1]:,}" if others[0] == others[1] else f"{others[0]:,} of the {others[1]:,}"
    said = f"{taken}, {of} that are labelled as something else among them"
    return Doubt("one class", said, "check model.range, and whether the model is trained", figures)


ORDERS = {
    "reversed": "in reversed order",
    "from one": "counted from 1",
    "one short": "counted from one too few: the first of the model's classes is missing",
    "alphabetical": "in alphabetical order",
    "alphabetical, capitals first": "in alphabetical order, capitals before small letters",
    "numbers by value": "in the order of their numbers, 2 before 10",
    "numbers as texts": "in the order of their numbers as texts, 10 before 2",
}


def order(found: Order, seen: Seen, way: str = "") -> Doubt:
    """Another order of the classes that explains the predictions far better; ``way``: with another value range."""
    names, noun = [seen.folders.get(k, name) for k, name in enumerate(seen.classes)], "classes"
    if seen.folders and all(name == f"class {k}" for k, name in enumerate(seen.classes)):
        noun = "folders"
    meant = listed(found.order, names)
    what = f"as if the {noun} were {ORDERS.get(found.name, 'in another order')}"
    if found.name == "reversed" and len(names) == 2:
        what = f"as if {names[0]!r} and {names[1]!r} were swapped"
    elif found.name == "from one":
        what = "as if the labels were counted from 1"
    first = ", ".join(meant[:_SHOWN]) + (", ..." if len(meant) > _SHOWN else "")
    judged = "" if found.name else ", each half of them judged by what the other half tells"
    gain = f"{found.right:,} of {found.n:,} images would be right instead of {found.before:,}{way}{judged}"
    figures: dict[str, Any] = {"order": meant, "name": found.name or None, "right": found.right, "before": found.before}
    figures |= {"labelled": found.n, "p": found.p}
    if found.name in ("from one", "one short"):
        remedy = "give images.first_label: 1, or the names of the classes as labels"
        if found.name == "one short":
            remedy = "give images.first_label: 0 where labels were counted from 1, else labels that are 1 more"
        return Doubt("order", f"{what}: {gain}", remedy, figures)
    # What was found moves some classes of many: these are told.
    moved = [k for k, name in enumerate(meant) if name != names[k]]
    if not found.name and len(names) > _SHOWN:
        pairs = [f"{names[k]} is {meant[k]}" for k in moved[:_SHOWN]]
        first = "what the model calls " + ", ".join(pairs) + (", ..." if len(moved) > _SHOWN else "")
    remedy = "give model.classes in the order of the model's outputs, or labels that count as it does"
    return Doubt("order", f"{what} ({first}): {gain}", remedy, figures)


def by_range(best: Tried, tried: Sequence[Tried], now: str) -> Doubt:
    """Another way to bring images to the model that has more of them right, or tells more of them apart."""
    figures = {"better": best.name, "tried": [figures_of(t) for t in tried]}
    if best.told:
        was, *rest = tried
        said = (
            f"with {_ranged(best)} the model tells {best.classes} classes apart in {best.n} images, with a mean "
            f"probability of {share(best.prob)}, as configured ({now}) {was.classes}, with {share(was.prob)}"
        )
        each = ", ".join(f"{t.classes} ({share(t.prob)}) with {t.name}" for t in rest if t is not best)
        said += f"; {each}" if each else ""
        return Doubt("range", f"{said}: no proof without labels", remedy(best), figures)
    said = f"with {_ranged(best)} {best.right:,} of {best.n:,} images are right, as configured ({now}) {best.before:,}"
    rest = [t for t in tried if t is not best]
    if rest:
        each = ", ".join(f"{t.right:,} with {t.name}" for t in rest)
        said += f"; of {rest[0].n:,} of them {rest[0].before:,} as configured, {each}"
    return Doubt("range", said, remedy(best), figures | {"p": best.p})


def figures_of(tried: Tried) -> dict[str, object]:
    """What came of one way, as numbers."""
    figures: dict[str, object] = {"way": tried.name, "images": tried.n}
    if tried.told or tried.prob:
        return figures | {"classes": tried.classes, "probability": tried.prob, "information": tried.told}
    return figures | {"right": tried.right, "as configured": tried.before}


def _ranged(tried: Tried) -> str:
    return f"{'model.range ' if list(tried.settings) == ['range'] else ''}{tried.name}"


def remedy(way: Any) -> str:
    """What to give and to leave out of the section `model` for a way to bring images to it, tried or not."""
    give = " and ".join(f"model.{key}: {setting(value)}" for key, value in way.settings.items())
    leave = " and ".join(f"model.{key}" for key in way.leave)
    return ", and ".join(
        part for part in (f"give {give}" if give else "", f"leave {leave} out" if leave else "") if part
    )


def setting(value: Any) -> str:
    """A value of the section `model` as a configuration has it."""
    return f"[{', '.join(f'{v:g}' for v in value)}]" if isinstance(value, (list, tuple)) else str(value)


def said(bounds: tuple[float, float]) -> str:
    """A range as a configuration has it."""
    return f"[{bounds[0]:g}, {bounds[1]:g}]"


def contradicted(said: str, remedy: str) -> Doubt:
    """A range that the model's own first layer contradicts."""
    return Doubt("range", said, remedy)


def uniform(entropy: float, prob: float, classes: int, n: int) -> Doubt:
    """Probabilities that are about the same for all classes; ``entropy`` as a share of that of uniform ones."""
    said = (
        f"the model is sure of nothing: its probabilities have {share(entropy)} of the entropy of uniform ones, "
        f"{share(prob)} on average for what it predicts, of {classes:,} classes (in {n} images)"
    )
    figures = {"entropy": entropy, "probability": prob, "uniform": 1 / classes, "images": n}
    return Doubt("uniform", said, "check that the model is trained, and model.range", figures)


def strangers(seen: Seen, tried: int) -> Doubt:
    """Labels that agree with the predictions by chance only, whatever is tried."""
    kinds, prob, labels = len(np.unique(seen.pred)), float(seen.prob.mean()), len(np.unique(seen.label))
    # Of fewer images no order can be found: half of them tell it, the others judge.
    every = len(seen) >= 4 * labels
    orders = (
        "no order of the classes" if every else "no common order of the classes (there are too few images to try all)"
    )
    ranges = f", nor any of {tried} other value ranges," if tried else ""
    said = (
        f"labels and model do not seem to belong together: the model tells {kinds:,} classes apart (mean probability "
        f"{share(prob)}), and {orders}{ranges} surely makes them agree with the labels"
    )
    remedy = "check that labels and model.classes are of the data set that the model was trained on"
    figures = {"classes": kinds, "labels": labels, "probability": prob, "ranges tried": tried, "every order": every}
    return Doubt("labels", said, remedy, figures)
