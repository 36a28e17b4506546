"""What is said of outputs that were compared, and of what makes them meet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from activation_atlas.stages.doubt.orders import listed
from activation_atlas.stages.doubt.parity.agreement import Agreement
from activation_atlas.stages.doubt.parity.causes import FIRST, Meeting, Reading
from activation_atlas.stages.doubt.wording import ORDERS, remedy, setting

if TYPE_CHECKING:
    from activation_atlas.stages.doubt.parity import Parity

_SHOWN = 12
"""Names of a list that are shown."""


@dataclass(frozen=True)
class Cause:
    """Why outputs differ, and what to do: ``kind`` is values, form, classes, images or cut."""

    kind: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}"


def causes(found: Meeting, model: Any, reading: Reading) -> Iterator[Cause]:
    """What sets a way that makes outputs meet apart from the model as it is configured."""
    from activation_atlas.stages.vision.model.scaling import bounds, said

    if found.way is not None:
        now = said(bounds(model))
        yield Cause("values", f"values: the outputs are those for {found.way.name}, not {now}", remedy(found.way))
    if found.form != reading.own:
        yield _form(found.form, reading.own, model.name)
    if found.order is not None:
        yield _order(found, list(model.classes))
    if found.moved:
        said_so = "images: the rows are of the same images in another order"
        yield Cause("images", said_so, "give a table with a column `path`, or rows in the order of the images' paths")
    if found.cut:
        yield Cause("cut", f"cut: the outputs are those of images brought to size by {_named(found.cut)}", _give(found))


def _form(given: str, own: str, name: str) -> Cause:
    said = f"form: the outputs are {given}, and model {name} returns {own}"
    end = {"logits": "without its softmax or sigmoid", "probabilities": "with a softmax or sigmoid at its end"}
    told = f"either is the same network; save it {end.get(given, 'with their logarithm')} where it has to be equal"
    return Cause("form", said, told)


def _order(found: Meeting, names: list[str]) -> Cause:
    order: np.ndarray = found.order if found.order is not None else np.arange(len(names))
    what = f"as if the classes were {ORDERS[found.called]}" if found.called else "the classes stand in another order"
    if len(names) == 2:
        what = f"{names[0]!r} and {names[1]!r} are swapped"
    moved = [k for k in range(len(names)) if order[k] != k]
    pairs = [f"number {k} is the model's {order[k]}" for k in moved[:_SHOWN]]
    each = f": {', '.join(pairs)}{', ...' if len(moved) > _SHOWN else ''}"
    said = f"classes: {what}{'' if found.called else each}"
    give = "give model.classes in the order of the model's outputs, no longer in that of the other program"
    if len(names) <= _SHOWN and len(set(names)) == len(names):
        give += f", [{', '.join(listed(order, names))}]"
    return Cause("classes", said, give)


def _named(cut: Any) -> str:
    return ", ".join(f"no {key}" if value is None else f"{key} {value}".lower() for key, value in cut.items())


def _give(found: Meeting) -> str:
    """Keys of the section `images`: what differs from how they are cut now."""
    given = [f"give images.{key}: {setting(value).lower()}" for key, value in found.cut.items() if value is not None]
    return " and ".join([*given, *(f"leave images.{key} out" for key, value in found.cut.items() if value is None)])


def said(compared: Parity) -> list[str]:
    """What was found, for a terminal."""
    found = compared.agreement
    verdict = "equal" if found.equal else "they agree" if found.near else "they do not agree"
    lines = [f"{found.n:,} images: {verdict}: {figures(found)}"]
    if not found.equal:
        lines.append(f"the largest difference is at {compared.images[found.image]}")
    lines += map(str, compared.causes)
    if compared.off is not None:
        tried = min(found.n, FIRST)
        lines.append(
            f"so read {tried} of them are off by {_size(compared.off)} of their spread, as it is by {_size(found.off)}"
        )
    elif not found.near:
        lines.append(
            "no usual cause makes them meet: value ranges, orders of colours, classes and images, a softmax, cut and "
            "resizing were tried; the network may be converted wrongly, or be another one"
        )
    return [*lines, *compared.remarks]


def figures(found: Agreement) -> str:
    """Differences, first classes, ranks."""
    parts = [f"largest difference {found.largest:.2g}, median {found.median:.2g}"]
    if found.same_top is not None:
        parts.append(f"{found.same_top:,} of {found.n:,} have the same first class")
    if found.rank is not None:
        parts.append(f"rank correlation {found.rank:.3f}")
    return "; ".join(parts)


def _size(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
