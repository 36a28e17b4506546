"""What all classes' attributions of a position cost, beside the head's plain forward pass."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCH, ROUNDS = 32, 30
DEEP, LINEAR = "conv_pw_11_relu", "conv_pw_13_relu"


def run() -> dict[str, Any]:
    """MobileNet 0.75/224, 1,000 classes; milliseconds per position, and as multiples of the head for one image.

    The tasks take turns, so that whatever else the machine does weighs on all.
    """
    import tensorflow as tf

    from stages.specs import ModelSpec
    from stages.vision.attribution.forward_mode import ForwardMode
    from stages.vision.attribution.proof import disagreement
    from stages.vision.attribution.windows import Places
    from stages.vision.model import freeze, open_model

    data = Path(os.environ.get("ATLAS_DATA") or Path(__file__).parent.parent.parent / "shared")
    model = open_model(ModelSpec(path=str(data / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1)))
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(-1, 1, (BATCH, *model.input_size, 3)).astype(np.float32))
    tasks: dict[str, tuple[Any, int]] = {}

    def task(name: str, function: Any, given: list[tf.Tensor], items: int) -> None:
        frozen = freeze(function, *(tf.TensorSpec(t.shape, t.dtype) for t in given))
        tasks[name] = (lambda: frozen(*given), items)

    def sampled(name: str, layer: str, way: str, count: int) -> None:
        mode = ForwardMode(model, layer, way)
        info, slots = mode.info, len(mode.slots)
        drawn = [rng.integers(0, top, count) for top in (BATCH, info.height, info.width)]
        drawn[0] = np.arange(count) * BATCH // count
        values = [*model.values(x, mode.slots), *(tf.constant(axis, tf.int32) for axis in drawn)]
        if mode.jacobian is not None:
            values.append(tf.constant(mode.jacobian))
        task(name, lambda *t: mode(t[:slots], Places(*t[slots : slots + 3]), *t[slots + 3 :]), values, count)

    for name, layer in (("head", DEEP), ("linear head", LINEAR)):
        head, tensors = model.head(layer), model.trunk(layer)(x)
        task(name, lambda *t, head=head: head(t), tensors, BATCH)
    sampled("attribution", DEEP, "windows", BATCH)
    sampled("attribution, 8 positions an image", DEEP, "windows", 8 * BATCH)
    sampled("attribution by the accumulator", DEEP, "accumulator", BATCH)
    sampled("linear attribution", LINEAR, "affine", BATCH)

    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for lap in range(ROUNDS + 3):
        for name, (call, items) in tasks.items():
            began = time.perf_counter()
            call()
            if lap > 2:  # the first laps warm up
                taken[name].append(1000 * (time.perf_counter() - began) / items)
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
    return figures
