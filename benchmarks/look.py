"""How near drawing channels comes to the bare trunk: frozen forward pass and input gradient, same batch, same size."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

LAYER, CHANNELS, SIZE, STEPS = "conv_pw_11_relu", 64, 96, 256
ROUNDS = 8


def run() -> dict[str, Any]:
    """Milliseconds of one step of 64 channels of MobileNet (96 px in a frame of 128), as the command ``look`` does it,
    and of the limit, which take turns; and seconds of all 256 steps, with what is compiled.
    """
    import tensorflow as tf

    from activation_atlas.stages.look.maximising import BATCH, maximise, smooth
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.featurevis.optimise import Adam
    from activation_atlas.stages.vision.model import freeze, open_model

    data = Path(os.environ.get("ATLAS_DATA") or Path(__file__).parent.parent.parent / "shared")
    spec = ModelSpec(path=str(data / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1))
    model, drawing = open_model(spec), smooth(spec, LAYER, None, "mean", SIZE, STEPS)
    frame, tap = drawing.recipe.frame, model.tap(LAYER)
    rng = np.random.default_rng(0)
    images = tf.constant(rng.uniform(-1, 1, (BATCH, *frame, 3)).astype(np.float32))

    def bare(x: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tap(x)
        return tape.gradient(y, x)

    limit = freeze(bare, tf.TensorSpec((None, *frame, 3), tf.float32))
    waves = drawing.recipe.spectrum.waves(SIZE)
    drawn = Adam(rng.standard_normal((BATCH, 3, waves, waves)).astype(np.float32))
    wanted = tf.constant(np.eye(model.layer(LAYER).channels, dtype=np.float32)[:BATCH])
    batches = CHANNELS // BATCH

    def step() -> None:
        for _ in range(batches):
            view = tf.constant(drawing.recipe.jitter.matrix(0, 0))
            drawn.ascend(drawing.climb(drawn.value, wanted, view), 0.05)

    tasks = {"limit": lambda: [limit(images) for _ in range(batches)], "step": step}
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    busy: dict[str, list[float]] = {name: [] for name in tasks}
    for lap in range(ROUNDS + 2):
        for name, task in tasks.items():
            began, worked = time.perf_counter(), time.process_time()
            task()
            busy[name].append(time.process_time() - worked)
            if lap > 1:  # the first laps compile and warm up
                taken[name].append(1000 * (time.perf_counter() - began))
    began = time.perf_counter()
    maximise(spec, LAYER, range(CHANNELS), size=SIZE, steps=STEPS)
    seconds = time.perf_counter() - began
    best = {name: min(times) for name, times in taken.items()}
    middle = {name: float(np.median(times)) for name, times in taken.items()}
    figures = {
        "layer": LAYER,
        "channels": CHANNELS,
        "picture": SIZE,
        "frame": list(frame),
        "step_ms": best["step"],
        "limit_ms": best["limit"],
        "share_of_limit": best["limit"] / best["step"],
        "share_of_limit_median": float(np.median(np.divide(taken["limit"], taken["step"]))),
        "share_of_limit_processor": float(np.median(np.divide(busy["limit"][2:], busy["step"][2:]))),
        "seconds": seconds,
        "share_of_limit_whole": STEPS * middle["limit"] / 1000 / seconds,
    }
    print("least and median of turns, ms")
    print(f"one step of {CHANNELS} channels {best['step']:7.1f} {middle['step']:7.1f}")
    print(f"limit: bare trunk       {best['limit']:7.1f} {middle['limit']:7.1f}  (forward and input gradient, frozen)")
    print(f"share of the limit      {figures['share_of_limit']:7.2f} {figures['share_of_limit_median']:7.2f}")
    print(f"all {STEPS} steps by aa.maximise: {seconds:.1f} s, {figures['share_of_limit_whole']:.2f} of the limit")
    return figures
