"""From one class to another by a patch that the atlas names: ``activation-atlas patch``, :func:`patch_run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activation_atlas.stages.adversarial.experiment import Patch, patches
from activation_atlas.stages.adversarial.proposed import Proposal, propose
from activation_atlas.stages.audited import images_of, taken, task_in
from activation_atlas.stages.classes import class_index
from activation_atlas.stages.drawing.numbers import percent, plural
from activation_atlas.stages.drawing.sheet import Sheet
from activation_atlas.stages.feed import Feed, at_size, uris_of
from activation_atlas.stages.groups import Given, groups_of
from activation_atlas.stages.intervention import middle
from activation_atlas.stages.intervention.corners import PLACES, Place, Rates, experiment
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, ViewSpec
from activation_atlas.stages.stage import Inputs, State, UserError

LEAST = 5
"""Images that either half needs."""
SOURCES, SHOWN = 50, 5
ANY = "any"
ARTICLE = (
    "beside it: Carter et al. 2019 turned 37.2 % of their grey whales static and 57.5 % dynamic into great white "
    "sharks by a baseball, and 4.4 % and 14.1 % by noise"
)


@dataclass(frozen=True)
class Example:
    """One of the images: as it is and with the patch, uint8 (h, w, c), and the probability of the class in each."""

    before: np.ndarray
    after: np.ndarray
    was: float
    now: float
    turned: bool


@dataclass(frozen=True)
class Patched:
    """What came of it.

    Attributes:
        from_, to: the class or group that images are of (``any``: all other classes), and the class.
        atlas, grid: whose cells were looked through.
        proposals: the positions that were, the strongest cell first.
        patch: the one that was chosen, of these; source: the image that it was cut from, uint8 (h, w, c).
        place: the size and corner of the static figures.
        searched, images: images that patch and place were chosen on, and those that the figures are of.
        rates: by kind: patch, noise, random.
        examples: a few of the images, drawn at random.
    """

    from_: str
    to: str
    atlas: str
    grid: int
    proposals: list[Proposal]
    patch: Patch
    source: np.ndarray
    place: Place
    searched: int
    images: int
    rates: Mapping[str, Rates]
    examples: list[Example]

    def lines(self) -> list[str]:
        """In words."""
        what, own = self._what, self.patch.proposal
        found = [
            f"a patch of image {own.image_id}, cell {own.cell} of atlas {self.atlas}, grid {self.grid}",
            f"chosen on {plural(self.searched, 'image')}, tried on {self.images} others: {what} that become {self.to}",
        ]
        names = {"patch": "the patch", "noise": "noise of its spectrum", "random": "parts of other images"}
        for kind, rate in self.rates.items():
            found.append(f"  {names[kind]:<22} static {_share(rate.static)}, dynamic {_share(rate.dynamic)}")
        return [*found, f"static: {percent(self.place.side, 0)} of the side, {self.place.words}", ARTICLE]

    @property
    def _what(self) -> str:
        return "images of all other classes" if self.from_ == ANY else f"images of {self.from_}"

    @property
    def sheet(self) -> Sheet:
        """The figure."""
        from activation_atlas.stages.adversarial.figure import drawn

        return drawn(self)

    def _repr_png_(self) -> bytes:
        return self.sheet.png()


def _share(rate: tuple[float, float, float]) -> str:
    return f"{percent(rate[0])} [{100 * rate[1]:.1f}, {100 * rate[2]:.1f}]"


def patch_run(
    inputs: Inputs, model: ModelSpec, images: ImagesSpec, view: ViewSpec, grid: int, from_: str, to: str,
    *, groups: Given | None = None, count: int = 100, batch: int = 64, seed: int = 0,
) -> Patched:  # fmt: skip
    """Proposes, chooses, and tries a patch on a finished run.

    Args:
        inputs: of the run folder. model, images: as it ran.
        view, grid: the atlas whose cells are looked through.
        from_: a class, one of the groups, or ``any``. to: a class.
        count: images of either half, at most.

    Raises:
        UserError: no such class, no attributions, too few images.
    """
    from activation_atlas.stages.vision.model import open_model
    from activation_atlas.stages.vision.predicting import predict
    from activation_atlas.stages.vision.scoring import scorer

    extract = inputs.state("extract", "")
    if extract["kind"] == "quantity":
        raise UserError("patch: the model's outputs are quantities, and no image is of a class")
    goal = class_index(to, extract["classes"], "--to")
    start = _classes(inputs, extract, from_, groups)
    if goal in start:
        raise UserError(f"patch: {to!r} is of what --from names; give two classes")
    proposals = propose(inputs, view, grid, goal, start, seed)
    network = open_model(model)
    shown = images.settled(network.brings)
    feed = Feed(images, at_size(shown, network.input_size, network.channels))
    ids = _hosts(inputs, extract, goal, start, count, seed)
    asked = {i for some in ids for i in some} | {p.image_id for p in proposals}
    uris = uris_of(inputs, sorted(asked))
    pixels = feed.first(uris, len(uris))
    search, held, sources = ([pixels[i] for i in some if i in pixels] for some in ids)
    if min(len(search), len(held)) < LEAST or not sources:
        said = "" if from_ == ANY else f"of {from_!r} "
        raise UserError(
            f"patch: of images {said}that are not taken for {to!r} already there are {len(search)} to choose on and "
            f"{len(held)} to try on, and {LEAST} of each are needed; give a run of more images, or --from {ANY}"
        )
    score, task, layer = scorer(network, batch), task_in(inputs), extract["layers"][view.layer]

    def becomes(scores: np.ndarray) -> np.ndarray:
        return taken(scores, extract, task)[..., goal]

    def centre(proposal: Proposal) -> tuple[float, float]:
        return middle(layer, proposal.row, proposal.col)

    able = patches(proposals, pixels, centre)
    came = experiment([each.pixels for each in able], search, held, sources, goal, score, becomes, batch, seed)
    patch, place = able[came.patch], PLACES[came.static]
    some = held[:SHOWN], [patch.on(image, place) for image in held[:SHOWN]]
    odds = [predict(network, np.stack(each), SHOWN)[1][:, goal].tolist() for each in some]
    examples = [Example(*one) for one in zip(*some, *odds, came.turned[:SHOWN].tolist(), strict=True)]
    return Patched(
        from_, to, view.name, grid, proposals, patch, pixels[patch.proposal.image_id], place, len(search), len(held),
        came.rates, examples,
    )  # fmt: skip


def _classes(inputs: Inputs, extract: Mapping[str, Any], name: str, groups: Given | None) -> list[int]:
    """Indices of what ``--from`` names; none for all."""
    if name == ANY:
        return []
    known = groups_of(inputs, groups)
    if name in known and name not in extract["classes"]:
        return known[name]
    return [class_index(name, extract["classes"], "--from", also=[*known, ANY])]


def _hosts(
    inputs: Inputs, extract: State, goal: int, start: Sequence[int], count: int, seed: int
) -> tuple[list[str], list[str], list[str]]:
    """Ids to choose on, to try on, and to cut other parts from, each in the order of a draw of its own images; of
    copies of a file the first."""
    column = {int(k): place for place, k in enumerate(extract["attributed"])}
    found: tuple[dict[str, str], dict[str, str], dict[str, str]] = {}, {}, {}
    for part in range(inputs.parts("predictions")):
        known = images_of(inputs, part, extract, seed)
        other = ~known.own[:, column[goal]] & ~known.called[:, column[goal]]
        mine = other & known.own[:, [column[k] for k in start]].any(1) if start else other
        for some, own in zip(found, (mine & ~known.held, mine & known.held, other & ~known.held), strict=True):
            for k in np.flatnonzero(own).tolist():
                some.setdefault(known.files[k], known.ids[k])

    def few(place: int, most: int) -> list[str]:
        some = sorted(found[place].values())
        return [some[k] for k in np.random.default_rng([seed, place, 43]).permutation(len(some))[:most]]

    return few(0, count), few(1, count), few(2, SOURCES)
