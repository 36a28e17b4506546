"""How the method of a run is configured, in words."""

from __future__ import annotations

from activation_atlas.stages.methods import Options
from activation_atlas.stages.stage import State


def chosen_for(options: Options, configured: State) -> State:
    """What options leave open by default, such as a layer or a size that follows from the model's input."""
    fields = type(options).model_fields
    return {k: configured[k] for k in fields if k in configured and fields[k].default is None}


def looks(options: Options, configured: State) -> str | None:
    """Where and how finely the maps look; None where that is at every pixel."""
    words = options.looks(configured)
    return words and f"{options.variant}: {words}"


def warnings(options: Options, configured: State) -> list[str]:
    """What makes the maps of a method say little, and what to do."""
    found = (single(options, configured), tokens(options, configured), doubt(options, configured))
    return [words for words in found if words]


def doubt(options: Options, configured: State) -> str | None:
    """What the method itself says against maps so configured."""
    words = options.doubt(configured)
    return words and f"{options.variant}: {words}"


def tokens(options: Options, configured: State) -> str | None:
    """What to do where the maps are in front of all blocks of a transformer; None where they are not."""
    if not configured.get("tokens"):
        return None
    if getattr(options, "layer", None):
        mend = "Leave layer out, or name that of a block"
    else:
        mend = (
            "Its blocks hold no map that can be found. Methods that explain at the input need no layer: "
            "integrated_gradients, smooth_grad, occlusion, rise"
        )
    return (
        f"{options.variant}: at {configured['layer']}, the patch embedding, in front of all blocks; so its maps say "
        f"little of what the network found. {mend}"
    )


def single(options: Options, configured: State) -> str | None:
    """What to do where every map has one position alone; None where they have more."""
    if configured["height"] * configured["width"] > 1:
        return None
    mend = options.finer(configured)
    return f"{options.variant}: maps of a single position tell nothing of where, and are not scored; {mend}"
