"""What was found, as a commented configuration and as lines for the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from activation_atlas.stages.doubt.proposal import SHARE
from activation_atlas.stages.doubt.wording import setting
from activation_atlas.stages.specs import COLOURS, ImagesSpec, ModelSpec

if TYPE_CHECKING:
    from activation_atlas.stages.doubt.proposal import Proposal, Way
    from activation_atlas.stages.vision.layer_info import LayerInfo
    from activation_atlas.stages.vision.model import Model

_PER_IMAGE = 100
"""Positions of a layer that a run samples in each image, at most; as ``extract.positions_per_image`` has it."""

NEARLY = 0.8
"""A way that tells this share of what the best one does is named beside it where there are no labels."""


@dataclass(frozen=True)
class Found:
    """All that is known when the file is written.

    Attributes:
        images: the section as it will be written, with whole paths.
        count: images there are.
        unmatched: why the labels were left out; empty where they were not.
        numbered: whether label names were numbered in their order, for want of class names.
        tried: None where too few images could be read.
        layers: one in the middle and the last, or fewer.
        grids: cells along a side, the coarsest first.
    """

    model: ModelSpec
    opened: Model
    images: ImagesSpec
    count: int
    unmatched: str
    numbered: bool
    tried: Proposal | None
    layers: Sequence[LayerInfo]
    grids: Sequence[int]

    @property
    def given(self) -> dict[str, Any]:
        """What the user says of the values that the model takes: it is kept."""
        return {key: value for key in COLOURS if (value := getattr(self.model, key)) is not None}

    @property
    def settings(self) -> Mapping[str, Any]:
        """Keys of the section `model` for the values that it takes."""
        if self.given or self.tried is None:
            return self.given
        best = self.tried.ways[0].settings
        plain = self.model.path is not None and not self.opened.brings
        return best or ({"range": (0, 255)} if plain else {})

    @property
    def icons(self) -> int:
        """The grid that gets icons: the finest of at most ten cells along a side, or the coarsest."""
        return max([n for n in self.grids if n <= 10] or [self.grids[0]])


def findings(found: Found) -> Iterator[str]:
    """For the terminal: what was found, and how sure it is."""
    yield f"values: {_values(found)}"
    if found.unmatched:
        yield f"labels: left out, {found.unmatched}; give the names of the model's classes with --classes"
    elif found.tried is not None and found.tried.n:
        share = f"{found.tried.right} of {found.tried.n} labelled images are right"
        yield f"labels: {share}{_ordered(found.tried)}"
    else:
        yield "labels: none; mistakes are not shown, and nothing proves that the values are right"
    if cut := _cut(found):
        yield f"cut: {cut}"
    for info in found.layers:
        yield f"layer: {info.name}, {_about(info)}"
    yield f"grids: {', '.join(map(str, found.grids))} cells along a side, for {found.count:,} images"
    if found.tried is not None:
        yield f"time and disk: {_time(found)}; {_disk(found)}"


def written(found: Found, path: Path) -> str:
    """The configuration as text, whose comments say why each value was chosen.

    Args:
        path: where it will lie; paths below its folder are written relative to that.
    """
    return "\n".join(_lines(found, path)) + "\n"


def _lines(found: Found, path: Path) -> Iterator[str]:
    yield f"# activation-atlas run {path.name}"
    yield "#"
    yield "# Written by `activation-atlas init`. What was tried is said beside each line; change what you like."
    if found.tried is not None:
        yield f"# {_time(found)};"
        yield f"# {_disk(found)}. Attributions and icons come on top."
    yield f"run: {{name: {_yaml(path.stem)}}}"
    yield "model:"
    kind = next(key for key in ("path", "application", "preset") if getattr(found.model, key) is not None)
    origin = getattr(found.model, kind)
    yield f"  {kind}: {_yaml(_near(origin, path) if kind == 'path' else origin)}"
    for key in ("output", "task", "input_size", "tokens"):
        if key in found.model.model_fields_set:
            yield f"  {key}: {_yaml(found.model.model_dump(mode='json')[key])}"
    yield f"  # {_values(found)}"
    yield from (f"  {key}: {setting(value)}" for key, value in found.settings.items())
    yield from _classes(found, path)
    yield "images:"
    yield f"  path: {_yaml(_near(found.images.path, path))}"
    if found.images.labels is not None:
        yield f"  labels: {_yaml(_near(found.images.labels, path))}"
    if found.unmatched:
        yield f"  label_column: none  # {found.unmatched}: give model.classes, all names in the model's order"
    if found.opened.brings:
        told = ", ".join(f"{key}: {_yaml(value)}" for key, value in found.opened.brings.items())
        yield f"  # the model's own preprocessor brings images to its size: {told}"
    elif found.tried is not None and found.tried.shared:
        yield f"  crop_share: {SHARE}  # {_cut(found)}"
    else:
        yield f"  crop: center  # {_cut(found) or 'to the middle; none squeezes, pad adds grey'}"
    if found.layers:
        yield "atlases:"
    for name, info in zip(("middle", "late") if len(found.layers) > 1 else ("late",), found.layers, strict=False):
        yield f"  - name: {name}"
        yield f"    layer: {_yaml(info.name)}  # {_about(info)}"
        yield f"    grids: {list(found.grids)}  # cells along a side, for {found.count:,} images"
        yield f"    render: {{grids: [{found.icons}]}}  # icons take most of the time: null draws none"
    if any(min(info.height, info.width) <= 2 for info in found.layers):
        yield "extract: {edge: 0}  # the maps are too small to leave out their border"
    if not found.layers:
        yield "# no layer of this model has positions that can be traced back to the image: there are no atlases"
    yield from _explained(found)


def _classes(found: Found, path: Path) -> Iterator[str]:
    tried = found.tried
    if tried is not None and tried.order is not None:
        order = tried.order
        said = f"{order.right} of {order.n} right in this order, {order.before} as given"
        if len(set(tried.named)) == len(tried.named) == len(found.opened.classes) and found.model.classes is not None:
            yield f"  classes: {_yaml(list(tried.named))}  # {said}: make sure of it"
            return
        yield f"  # another order of the classes fits the labels far better ({said}):"
        yield "  # give all names in the model's order"
    if isinstance(found.model.classes, str):
        yield f"  classes: {_yaml(_near(found.model.classes, path))}"
    elif found.model.classes is not None:
        yield f"  classes: {_yaml(list(found.model.classes))}"
    elif found.numbered and not found.unmatched:
        yield "  # classes: label names are numbered in their order; give a file of names if the model's is another"
    else:
        yield "  # classes: a file of names in the order of the model's outputs"


def _explained(found: Found) -> Iterator[str]:
    mistakes = found.tried is not None and 0 < found.tried.right < found.tried.n
    section = [
        "explain:",
        "  images: errors  # the page of mistakes: where the network looked",
        "  methods: [grad_cam]",
        "  targets: [predicted, label]",
        "  limit: 200",
    ]
    if mistakes and found.layers:
        yield from section
    else:
        why = "needs labels" if found.tried is None or not found.tried.n else "there were no mistakes among those tried"
        yield f"# Maps of the mistakes ({why}):"
        yield from (f"# {line}" for line in section)


def _values(found: Found) -> str:
    """Why these values: the evidence, in one line."""
    tried = found.tried
    if found.given:
        return "as given"
    if tried is None:
        why = "quantities do not tell" if found.opened.kind == "quantity" else "fewer than ten images can be read"
        return f"could not be tried: {why}; check it"
    best, *rest = tried.ways
    own = " (the model's own preprocessing)" if not found.settings else ""
    shown = [_came(way) for way in rest[:3]]
    if best.right is None:
        tells = f"predictions with {best.name}{own} are sure and differ, {best.told:.0%} of the most possible"
        tells += f" in {best.n} images"
        check = "no proof without labels: check it"
        if rest and rest[0].told >= NEARLY * best.told:
            check += f", {rest[0].name} tells nearly as much"
        return "; ".join([tells, *shown, check])
    said = f"{best.name}{own}: {tried.right} of {tried.n} right"
    if rest:
        said += f", {rest[0].name}: {tried.next_right}"
    if shown:
        said += f"; of the first {best.n}: {_came(best)}, {', '.join(shown)}"
    return said if tried.sure else f"{said}; the first two are not surely different: check which it is"


def _came(way: Way) -> str:
    return f"{way.name} {way.told:.0%}" if way.right is None else f"{way.name} {way.right}"


def _ordered(tried: Proposal) -> str:
    if tried.order is None:
        return ""
    name = f" ({tried.order.name})" if tried.order.name else ""
    return f"; in another order of the classes{name} {tried.order.right} of {tried.order.n} would be"


def _cut(found: Found) -> str:
    tried = found.tried
    if tried is None or tried.share is None:
        return ""
    both = f"{tried.share} of {tried.n} right with {SHARE} of the middle, {tried.right} with all of it"
    return both if tried.shared else f"{both}, which is kept"


def _about(info: LayerInfo) -> str:
    return f"{info.height} x {info.width} x {info.channels}, at {info.compute:.0%} of the compute"


def _time(found: Found) -> str:
    rate = found.tried.rate if found.tried is not None else 0.0
    seconds = found.count / max(rate, 1e-9)
    limits = ((120, 1, "s", 0), (7200, 60, "min", 0), (float("inf"), 3600, "h", 1))
    lasts = next(f"{seconds / unit:.{digits}f} {name}" for end, unit, name, digits in limits if seconds < end)
    return f"{found.count:,} images take {lasts} at {rate:.0f} a second, decoded and through the model as measured here"


def _disk(found: Found) -> str:
    values = 0
    for info in found.layers:
        edge = 1 if min(info.height, info.width) > 2 else 0
        places = min(_PER_IMAGE, (info.height - 2 * edge) * (info.width - 2 * edge))
        values += places * (info.channels + len(found.opened.classes))
    return f"activations and attributions take at most {max(1, 2 * values * found.count / 2**20):,.0f} MiB"


def _near(path: str, file: Path) -> str:
    """Relative to the file where it lies below its folder."""
    if "://" in path or path.startswith("demo:"):
        return path
    own = os.path.relpath(path, file.resolve().parent)
    return path if own.startswith("..") else own


def _yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
