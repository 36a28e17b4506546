"""Attribution maps beside what they cannot be faster than, and beside the peers, in one process and taking turns.

Limits: a frozen forward pass over the same photographs in the same batches; for methods that go back to the image, a
frozen forward pass with its input gradient. Peers are looked for in the environment (``make test-peers`` installs two
into ``.venv/peers``; xplique must be installed without its pins, PACKAGES of :mod:`benchmarks.xplique_parity` in DIR)::

    PYTHONPATH=.venv/peers:DIR python -m benchmarks maps [--rows segments transformers ...]
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 64
LIGHT, HEAVY = 10, 3  # laps of the quick rows and of those with hundreds of passes an image
OCCLUDED, SCORED, WALKED = 32, 2, BATCH  # photographs for occlusion, Score-CAM, path and noise methods
IMAGES = (2_500, 5_000, 10_000)
STEPS, SAMPLES = 50, 25
HIDDEN, DRAWN = 2, 1000  # photographs explained by hidden segments, and images with some hidden of each


@dataclass(frozen=True)
class Task:
    """Something timed: a call, and the items (images, windows, points, ...) one call goes through."""

    call: Callable[[], Any]
    items: float


def laps(tasks: dict[str, Task], count: int) -> dict[str, np.ndarray]:
    """Seconds an item of each task in each lap; the order turns round with every lap, and the first is thrown away."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for lap in range(count + 1):
        for name in list(tasks) if lap % 2 else reversed(list(tasks)):
            began = time.perf_counter()
            tasks[name].call()
            if lap:
                taken[name].append((time.perf_counter() - began) / tasks[name].items)
    return {name: np.array(times) for name, times in taken.items()}


def times_as_fast(taken: dict[str, np.ndarray], ours: str, other: str) -> float:
    """How many of ``other``'s items fit into ours: the median of the laps' ratios."""
    return float(np.median(taken[other] / taken[ours]))


class Table:
    """The rows as they are found: what was measured, against what, the least that is asked, and the figure."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        print(f"{'figure':<52}{'against':<34}{'asked':>7}{'found':>9}")

    def add(self, figure: str, against: str, asked: float | None, found: float | str, **more: Any) -> None:
        self.rows.append({"figure": figure, "against": against, "asked": asked, "found": found, **more})
        told = found if isinstance(found, str) else f"{found:.3g}"
        least = "" if asked is None else f"{asked:g}"
        print(f"{figure:<52}{against:<34}{least:>7}{told:>9}", flush=True)

    def compare(
        self, figure: str, taken: dict[str, np.ndarray], ours: str, asked: dict[str, float | None], absent: dict
    ) -> None:
        """A row for each of ``asked``: a task of ``taken``, or a peer that is not there and why."""
        for other, least in asked.items():
            if other in taken:
                seconds = {"seconds": float(np.median(taken[ours])), "its_seconds": float(np.median(taken[other]))}
                self.add(figure, other, least, times_as_fast(taken, ours, other), **seconds)
            else:
                self.add(figure, other, least, f"not run: {absent.get(other.split(',')[0], 'unknown')}")


class Bench:
    """A model, MobileNet 0.75/224 unless told; photographs in memory as pixels and as it receives them; the limits."""

    def __init__(self, data: Path, spec: Any = None, batch: int = BATCH) -> None:
        import tensorflow as tf

        from activation_atlas.stages.specs import ModelSpec
        from activation_atlas.stages.vision.images import decode_to
        from activation_atlas.stages.vision.model import freeze, open_model

        mobilenet = ModelSpec(path=str(data / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1))
        self.spec, self.batch = spec or mobilenet, batch
        self.path = str(self.spec.path)
        self.model = model = open_model(self.spec)
        files = sorted((data / "data/imagenet_sample/images").rglob("*.jpg"))[:batch]
        self.pixels = np.stack([decode_to(file.read_bytes(), model.input_size) for file in files])
        self.received = model.to_input(self.pixels).numpy()
        self.ids = [f"{k:016x}" for k in range(batch)]
        shape = self.pixels.shape
        output = [model.program.output]
        self._forward = freeze(lambda p: model.values(model.to_input(p), output)[0], tf.TensorSpec(shape, "uint8"))
        order = np.argsort(-self._forward(tf.constant(self.pixels)).numpy(), axis=1)
        self.targets = order[:, :2].astype(np.int32)  # predicted and second

        def back(x: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(x)
                score = tf.reduce_sum(tf.gather(model.values(x, output)[0], targets, axis=1, batch_dims=1))
            return tape.gradient(score, x)

        self._back = freeze(back, tf.TensorSpec(shape, "float32"), tf.TensorSpec((batch, 1), "int32"))
        self._given = tf.constant(self.pixels), tf.constant(self.received), tf.constant(self.targets[:, :1])

    def forward(self, batches: int = 1) -> Task:
        """The bare frozen forward pass."""
        return Task(lambda: [self._forward(self._given[0]) for _ in range(batches)], self.batch * batches)

    def back(self, batches: int = 1) -> Task:
        """The bare frozen forward pass and the gradient at the image, of what the model receives."""
        return Task(lambda: [self._back(*self._given[1:]) for _ in range(batches)], self.batch * batches)

    def explain(self, options: Any, images: int, targets: int, items: float) -> Task:
        """One of our methods over the first images, in one call."""
        from activation_atlas.stages.vision.attribution.methods import METHODS, explainer

        configured = METHODS[options.name].configure(self.model, options, lambda count: self.pixels[:count])
        run = explainer(self.spec, options, configured, self.batch, targets)
        given = self.pixels[:images], self.targets[:images, :targets], self.ids[:images]
        return Task(lambda: run(*given), items)


def run(rows: Sequence[str] = ()) -> dict[str, Any]:
    """These groups of rows, all of them unless told; see the table it prints."""
    from benchmarks.maps import dataset, transformers
    from benchmarks.maps.peers import Peers

    data = Path(os.environ.get("ATLAS_DATA") or Path(__file__).parent.parent.parent.parent / "shared")
    groups = {
        group.__name__: group for group in (gradients_of_a_layer, saliency, occlusion, segments, score_cam, paths)
    }
    apart = {
        "transformers": lambda: transformers.rows(data, table),
        "dataset": lambda: dataset.rows(data, table, IMAGES),
    }
    if unknown := set(rows) - {*groups, *apart}:
        raise SystemExit(f"no rows called {', '.join(sorted(unknown))}; there are {', '.join([*groups, *apart])}")
    bench = Bench(data)
    peers, table = Peers(bench.path, bench.received, bench.targets, BATCH), Table()
    began = time.perf_counter()
    for name in rows or [*groups, *apart]:
        if name in groups:
            groups[name](bench, peers, table)
        else:
            apart[name]()
    print(f"all in {time.perf_counter() - began:.0f} s")
    return {"batch": BATCH, "rows": table.rows, "peers": peers.versions}


def gradients_of_a_layer(bench: Bench, peers: Any, table: Table) -> None:
    """Grad-CAM of one and of two targets; images per second."""
    from activation_atlas.stages.vision.attribution.methods.cam import GradCam

    tasks = {
        "forward only": bench.forward(),
        "one": bench.explain(GradCam(), BATCH, 1, BATCH),
        "two": bench.explain(GradCam(), BATCH, 2, BATCH),
        **peers.grad_cam(),
    }
    taken = laps(tasks, LIGHT)
    asked = {"forward only": 0.85, "xplique": 1.5, "tf-keras-vis": 5.0}
    table.compare("Grad-CAM, batch of 64, one target", taken, "one", asked, peers.absent)
    table.compare("Grad-CAM, predicted and second", taken, "two", {"forward only": 0.75}, peers.absent)


def saliency(bench: Bench, peers: Any, table: Table) -> None:
    from activation_atlas.stages.vision.attribution.methods.gradients import Saliency

    tasks = {
        "forward and input gradient": bench.back(),
        "ours": bench.explain(Saliency(), BATCH, 1, BATCH),
        **peers.saliency(),
    }
    taken = laps(tasks, LIGHT)
    asked = {"tf-keras-vis": 3.0, "xplique": None, "forward and input gradient": None}
    table.compare("saliency", taken, "ours", asked, peers.absent)


def occlusion(bench: Bench, peers: Any, table: Table) -> None:
    """Windows per second, with both targets' scores of each; peers explain one target at a time."""
    from activation_atlas.stages.vision.attribution.methods.occlusion import Occlusion

    count, windows = OCCLUDED, 13 * 13
    total = count * windows
    full = Occlusion(patch=32, stride=16, mode="full")
    quick = Occlusion(patch=32, stride=16, mode="incremental")
    tasks = {
        "forward only": bench.forward(total // BATCH),
        "full": bench.explain(full, count, 2, total),
        "incremental": bench.explain(quick, count, 2, total),
        **peers.occlusion(max(1, count // 16), 32, 16),
    }
    taken = laps(tasks, HEAVY)
    asked = {"forward only": 0.9, "tf-explain": 2.5, "tf-explain, one target": None, "xplique": 1.3}
    table.compare("occlusion, 169 windows, two targets, full", taken, "full", asked, peers.absent)
    asked = {"forward only": 1.3}
    table.compare("occlusion, 169 windows, two targets, incremental", taken, "incremental", asked, peers.absent)
    maps, exact = tasks["incremental"].call(), tasks["full"].call()
    gap = np.abs(maps.values - exact.values).max((2, 3)) / np.abs(exact.scores)
    table.add("incremental, largest difference over the score", "full mode, at most", 1e-4, float(gap.max()))


def segments(bench: Bench, peers: Any, table: Table) -> None:
    """Samples per second, with both targets' scores of each; cutting and fitting are part of it."""
    from activation_atlas.stages.vision.attribution.methods.kernel_shap import KernelShap
    from activation_atlas.stages.vision.attribution.methods.lime import Lime

    total = HIDDEN * DRAWN
    tasks = {
        "forward only": bench.forward(total // BATCH),
        "lime": bench.explain(Lime(samples=DRAWN), HIDDEN, 2, total),
        "shap": bench.explain(KernelShap(samples=DRAWN), HIDDEN, 2, total),
    }
    taken, asked = laps(tasks, HEAVY), {"forward only": 0.9}
    table.compare(f"LIME, {DRAWN:,} samples, two targets", taken, "lime", asked, peers.absent)
    table.compare(f"Kernel SHAP, {DRAWN:,} samples, two targets", taken, "shap", asked, peers.absent)


def score_cam(bench: Bench, peers: Any, table: Table) -> None:
    """Images per second; every channel of the last layer is a mask."""
    from activation_atlas.stages.vision.attribution.methods.score_cam import ScoreCam

    tasks = {"ours": bench.explain(ScoreCam(), SCORED, 1, SCORED), **peers.score_cam(SCORED)}
    table.compare("Score-CAM, all channels", laps(tasks, HEAVY), "ours", {"tf-keras-vis": 3.0}, peers.absent)


def paths(bench: Bench, peers: Any, table: Table) -> None:
    """Points per second: a trapezoid of n intervals has n + 1 points."""
    from activation_atlas.stages.vision.attribution.methods.path import IntegratedGradients
    from activation_atlas.stages.vision.attribution.methods.smooth_grad import SmoothGrad

    walk, noise = IntegratedGradients(steps=STEPS), SmoothGrad(samples=SAMPLES)
    limit = "forward and input gradient"
    tasks = {
        limit: bench.back(10),
        "walk": bench.explain(walk, WALKED, 1, WALKED * (STEPS + 1)),
        "noise": bench.explain(noise, WALKED, 1, WALKED * SAMPLES),
    }
    taken = laps(tasks, HEAVY)
    table.compare(f"integrated gradients, {STEPS} steps", taken, "walk", {limit: 0.85}, peers.absent)
    table.compare(f"SmoothGrad, {SAMPLES} samples", taken, "noise", {limit: 0.85}, peers.absent)
