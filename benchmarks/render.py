"""How near drawing icons comes to the bare trunk: frozen forward pass and input gradient, same batch, same size."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

LAYER = "conv_pw_11_relu"
BATCH, ROUNDS = 32, 24


def run() -> dict[str, Any]:
    """Milliseconds of one step of 32 icons of MobileNet (96 px in a frame of 128), and of the limit.

    The two take turns, so that whatever else the machine does weighs on both.
    """
    import tensorflow as tf

    from activation_atlas.stages.render import RenderSpec, recipe
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.colours import PHOTOGRAPHS, colour_root
    from activation_atlas.stages.vision.featurevis.optimise import Adam
    from activation_atlas.stages.vision.featurevis.visualizer import open_visualizer
    from activation_atlas.stages.vision.model import freeze

    data = Path(os.environ.get("ATLAS_DATA") or Path(__file__).parent.parent.parent / "shared")
    spec = ModelSpec(path=str(data / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1))
    drawing = recipe(RenderSpec(), 96, "centre")
    visualizer = open_visualizer(spec, LAYER, drawing, colour_root(PHOTOGRAPHS))
    model, maximization = visualizer.model, visualizer.maximization
    rng = np.random.default_rng(0)
    v = rng.standard_normal((BATCH, model.layer(LAYER).channels)).astype(np.float32)
    v = tf.constant(v / np.linalg.norm(v, axis=1, keepdims=True))
    images = tf.constant(rng.uniform(-1, 1, (BATCH, *drawing.frame, 3)).astype(np.float32))
    tap = model.tap(LAYER)

    def bare(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tap(x)
        return tape.gradient(y, x)

    limit = freeze(bare, tf.TensorSpec((None, *drawing.frame, 3), tf.float32))
    waves = drawing.spectrum.waves(drawing.size)
    drawn = Adam(rng.standard_normal((BATCH, 3, waves, waves)).astype(np.float32))
    view = tf.constant(drawing.jitter.matrix(0, 0))
    tasks = {
        "limit": lambda: limit(images),
        "step": lambda: drawn.ascend(maximization.climb(drawn.value, v, view), 0.05),
    }
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for lap in range(ROUNDS + 2):
        for name, task in tasks.items():
            began = time.perf_counter()
            task()
            if lap > 1:  # the first laps compile and warm up
                taken[name].append(1000 * (time.perf_counter() - began))
    best = {name: min(times) for name, times in taken.items()}
    middle = {name: float(np.median(times)) for name, times in taken.items()}
    figures = {
        "layer": LAYER,
        "batch": BATCH,
        "icon": drawing.size,
        "frame": list(drawing.frame),
        "step_ms": best["step"],
        "limit_ms": best["limit"],
        "share_of_limit": best["limit"] / best["step"],
        "share_of_limit_median": float(np.median(np.divide(taken["limit"], taken["step"]))),
        "ms_per_icon_step": best["step"] / BATCH,
        "icon_seconds_at_256_steps": 256 * best["step"] / BATCH / 1000,
    }
    print("least and median of turns, ms")
    print(f"one step of {BATCH} icons  {best['step']:7.1f} {middle['step']:7.1f}")
    print(f"limit: bare trunk     {best['limit']:7.1f} {middle['limit']:7.1f}  (forward and input gradient, frozen)")
    print(f"share of the limit    {figures['share_of_limit']:7.2f} {figures['share_of_limit_median']:7.2f}")
    return figures
