"""What all classes' attributions of a position cost, beside the head's plain forward pass, by each of their ways."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH, ROUNDS = 32, 30
DEEP, LINEAR = "conv_pw_11_relu", "conv_pw_13_relu"
MOBILENET = "models/mobilenet_075_224_imagenet.keras"
BLOCKS = {
    MOBILENET: ((-1, 1), DEEP),
    "models/efficientnet_lite0_imagenet.keras": ((0, 255), "block10_add"),
    "models/cifar10_resnet_clean.keras": (None, "re_lu_8"),
}
"""Range and layer by the model's path below the data: blocks are measured at these."""


def run() -> dict[str, Any]:
    """MobileNet 0.75/224, 1,000 classes; milliseconds per position, and as multiples of the head for one image.

    The tasks take turns, so that whatever else the machine does weighs on all.
    """
    import tensorflow as tf

    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode
    from activation_atlas.stages.vision.attribution.proof import disagreement
    from activation_atlas.stages.vision.model import open_model

    data = Path(os.environ.get("ATLAS_DATA") or Path(__file__).parent.parent.parent / "shared")
    model = open_model(ModelSpec(path=str(data / MOBILENET), range=(-1, 1)))
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(-1, 1, (BATCH, *model.input_size, 3)).astype(np.float32))
    tasks = Tasks()

    def sampled(name: str, layer: str, way: str, count: int) -> None:
        tasks.add(name, *_sampled(ForwardMode(model, layer, way), x, count, rng), count)

    for name, layer in (("head", DEEP), ("linear head", LINEAR)):
        head, tensors = model.head(layer), model.trunk(layer)(x)
        tasks.add(name, lambda *t, head=head: head(t), tensors, BATCH)
    sampled("attribution", DEEP, "windows", BATCH)
    sampled("attribution, 8 positions an image", DEEP, "windows", 8 * BATCH)
    sampled("attribution by the accumulator", DEEP, "accumulator", BATCH)
    sampled("linear attribution", LINEAR, "affine", BATCH)

    taken = tasks.taken()
    figures: dict[str, Any] = {"batch": BATCH, "layers": [DEEP, LINEAR]}
    print("least and median of turns, ms per image or position; multiple of the head of the same layer")
    for name, times in taken.items():
        head = taken["linear head" if name.startswith("linear") else "head"]
        least, middle = min(times) / min(head), float(np.median(times) / np.median(head))
        figures[name] = {"ms": min(times), "of_head": least, "of_head_median": middle}
        print(f"{name:36s} {min(times):7.3f} {np.median(times):7.3f}   {least:5.2f} {middle:5.2f}")
    for layer, way in ((DEEP, "windows"), (LINEAR, "affine")):
        figures[f"gap {layer}"] = gap = disagreement(model, layer, way)
        print(f"{layer}: largest difference from backprop, over the largest attribution: {gap:.1e}")
    for path, (span, layer) in BLOCKS.items():
        spec = ModelSpec(path=str(data / path), **({} if span is None else {"range": span}))
        figures[f"blocks {Path(path).stem}"] = _blocks(open_model(spec), layer)
    return figures


class Tasks:
    """Functions, frozen, that take turns, so that whatever else the machine does weighs on all."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[Any, int]] = {}

    def add(self, name: str, function: Any, given: list[Any], items: int) -> None:
        import tensorflow as tf

        from activation_atlas.stages.vision.model import freeze

        frozen = freeze(function, *(tf.TensorSpec(t.shape, t.dtype) for t in given))
        self.calls[name] = (lambda: frozen(*given), items)

    def taken(self) -> dict[str, list[float]]:
        """Milliseconds per item of every turn."""
        found: dict[str, list[float]] = {name: [] for name in self.calls}
        for lap in range(ROUNDS + 3):
            for name, (call, items) in self.calls.items():
                began = time.perf_counter()
                call()
                if lap > 2:  # the first laps warm up
                    found[name].append(1000 * (time.perf_counter() - began) / items)
        return found


def _sampled(mode: Any, x: Any, count: int, rng: np.random.Generator) -> tuple[Any, list[Any]]:
    """A mode's call at ``count`` positions of the images ``x``, and what it is given."""
    import tensorflow as tf

    from activation_atlas.stages.vision.attribution.local_maps import Positions

    info, slots = mode.info, len(mode.slots)
    drawn = [rng.integers(0, top, count) for top in (len(x), info.height, info.width)]
    drawn[0] = np.arange(count) * len(x) // count
    pass_ = tf.function(lambda x: mode.model.values(x, mode.slots), autograph=False)
    given = [*pass_(x), *(tf.constant(axis, tf.int32) for axis in drawn)]
    if mode.jacobian is not None:
        given.append(tf.constant(mode.jacobian))
    return lambda *t: mode(t[:slots], Positions(*t[slots : slots + 3]), *t[slots + 3 :])[1], given


def _blocks(model: Any, layer: str) -> dict[str, float]:
    """By insertion and removal, each as a run would take it, as multiples of forward mode at the same positions."""
    import tensorflow as tf

    from activation_atlas.stages.vision.attribution.blocks import Insertion, Removal, mode_of
    from activation_atlas.stages.vision.attribution.choice import choose
    from activation_atlas.stages.vision.attribution.forward_mode import ForwardMode

    rng, tasks, count = np.random.default_rng(0), Tasks(), 8 * BATCH
    x = model.to_input(tf.constant(rng.uniform(0, 255, (BATCH, *model.input_size, 3)).astype(np.float32)))
    modes = {"forward mode": ForwardMode(model, layer, "windows")}
    for block in (Insertion(1), Insertion(3), *(Removal(w, f) for w in (1, 3) for f in ("zero", "mean"))):
        way = choose(model, layer, block=block)
        name = "insertion" if isinstance(block, Insertion) else f"removal to {block.fill}"
        modes[f"{name}, {block.window} x {block.window}, by {way}"] = mode_of(model, layer, way, None, block)
    for name, mode in modes.items():
        items = min(count, mode.most)
        tasks.add(name, *_sampled(mode, x, items, rng), items)
    taken, figures = tasks.taken(), {}
    plain = taken["forward mode"]
    print(f"{model.name}, {layer}: ms per position, least and median of turns; multiple of forward mode")
    for name, times in taken.items():
        ratios = min(times) / min(plain), float(np.median(times) / np.median(plain))
        figures[name] = ratios[1]
        print(f"{name:36s} {min(times):7.3f} {np.median(times):7.3f}   {ratios[0]:5.2f} {ratios[1]:5.2f}")
    return figures
