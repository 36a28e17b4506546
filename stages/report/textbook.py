"""looks -> site/textbook: the page of what the network has learned and sees, and the way on to what else there is."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.stages.drawing.textbook import Link, files_of
from activation_atlas.stages.specs import folder, slug
from activation_atlas.stages.stage import Inputs

FOLDER = "site/textbook"


def textbook(inputs: Inputs, title: str, layers: Sequence[str], boxed: Sequence[str]) -> dict[str, bytes]:
    """The files of the page, by their names in the run folder.

    Args:
        title: of the run. layers: whose channels were looked at. boxed: variants whose maps have boxes.
    """
    rows = inputs.table("looks").sort_by([("piece", "ascending"), ("place", "ascending")]).to_pylist()
    state = inputs.state("look", "")
    others = _others(inputs, layers, boxed)
    files = files_of(rows, title, state["model"], bool(state["shown"]), "../index.html", others)
    return {f"{FOLDER}/{name}": content for name, content in files.items()}


def _others(inputs: Inputs, layers: Sequence[str], boxed: Sequence[str]) -> list[Link]:
    """What the report draws of the run's channels and boxes."""
    found = [
        Link(f"../../figures/peaks-{slug(folder(layer))}.jpg", f"What excites the channels of {layer}")
        for layer in layers
        if inputs.table(f"peaks/{folder(layer)}", ["channel"]).num_rows
    ]
    if len(layers) > 1:
        found.append(Link("../../figures/sparsity.png", "How sparse the layers are"))
    if boxed:
        words = f"Boxes around what maps find, on the page of mistakes and its sheets: {', '.join(boxed)}"
        found.append(Link("../errors.html#sheets", words))
    return found
