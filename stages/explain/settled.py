"""What was settled for the maps of a run, in words."""

from __future__ import annotations

from activation_atlas.stages.methods import Occlusion, Options, Rise
from activation_atlas.stages.stage import State


def sizes(settled: State) -> dict[str, list[int] | int]:
    """Of what was settled, the sizes that come from the model's input where the options leave them open."""
    return {name: settled[name] for name in ("patch", "stride", "cells") if name in settled}


def told(options: Options, settled: State) -> str | None:
    """Where and how finely the maps look; None where nothing had to be settled but their size."""
    shape = f"({settled['height']} x {settled['width']})"
    if isinstance(options, Occlusion):
        patch, stride = ("{} x {}".format(*settled[side]) for side in ("patch", "stride"))
        return f"{options.variant}: windows of {patch} pixels, {stride} apart {shape}"
    if isinstance(options, Rise):
        return f"{options.variant}: masks of {settled['cells']} x {settled['cells']} cells"
    return f"{options.variant}: at {settled['layer']} {shape}" if "layer" in settled else None


def warnings(options: Options, settled: State) -> list[str]:
    """What makes the maps of a method say little, and what to do."""
    return [words for words in (single(options, settled), tokens(options, settled)) if words]


def tokens(options: Options, settled: State) -> str | None:
    """What to do where the maps are at a layer in front of blocks that hold tokens; None where they are not."""
    if not settled.get("tokens"):
        return None
    return (
        f"{options.variant}: at {settled['layer']}, the patch embedding, in front of all blocks, which hold sequences "
        "of tokens and no maps; so its maps say little of what the network found. Methods that explain at the input "
        "need no layer: integrated_gradients, smooth_grad, occlusion, rise"
    )


def single(options: Options, settled: State) -> str | None:
    """What to do where every map has one position alone; None where they have more."""
    if settled["height"] * settled["width"] > 1:
        return None
    mend = "give another layer" if "layer" in settled else "give a model with larger images"
    if isinstance(options, Occlusion):
        mend = "give a smaller occlusion.patch or stride, or leave them out"
    return f"{options.variant}: maps of a single position tell nothing of where, and are not scored; {mend}"
