"""How near extraction comes to the limit: the same decoder and the same frozen forward pass, nothing else."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

PART = 250
TURNS = 4


class _Images:
    """The part of a run folder that extract reads."""

    def __init__(self, parts: list[pa.Table]) -> None:
        self.held, self.learned = parts, {}

    def parts(self, table: str) -> int:
        return len(self.held)

    def part(self, table: str, index: int, columns: Any = None) -> pa.Table:
        return self.held[index]

    def state(self, stage: str | None = None, label: str | None = None) -> dict[str, Any]:
        return self.learned


def run() -> dict[str, Any]:
    """Of a MobileNet and of a vision transformer; in turn with the limit, by parts."""
    from activation_atlas.stages.specs import ModelSpec
    from benchmarks.transformers import saved

    data = Path(os.environ.get("ATLAS_DATA") or Path(__file__).parent.parent.parent / "shared")
    mobilenet = ModelSpec(path=str(data / "models/mobilenet_075_224_imagenet.keras"), range=(-1, 1))
    figures = {"mobilenet": extracted(data, mobilenet, "conv_pw_11_relu", 1000, 64)}
    with tempfile.TemporaryDirectory() as folder:
        path, layer = saved(Path(folder))
        figures["vit_s14"] = extracted(data, ModelSpec(path=path), layer, 128, 16)
    return figures


def extracted(data: Path, model: Any, layer: str, most: int, batch: int) -> dict[str, Any]:
    """The first photographs, 1 position an image, all classes, written as Parquet; in turn with the limit, by parts.

    And then with the layer's channels counted over all positions, in turn with extract as it was: what that costs.
    """
    import tensorflow as tf

    from activation_atlas.stages import extract, index
    from activation_atlas.stages.feed import threads_of
    from activation_atlas.stages.feed.decoding import decoded
    from activation_atlas.stages.sources import read_images
    from activation_atlas.stages.specs import ImagesSpec
    from activation_atlas.stages.vision.attribution.blocks import Insertion
    from activation_atlas.stages.vision.attribution.sampler import open_sampler
    from activation_atlas.stages.vision.images import decode_to
    from activation_atlas.stages.vision.model import freeze

    photographs = data / "data/imagenet_sample"
    images = ImagesSpec(path=str(photographs / "images"), labels=str(photographs / "labels.csv"), limit=most)
    classes, part = [str(k) for k in range(1000)], min(PART, most // 4)
    listed = index.Params(images=images, classes=classes, shard_images=part)
    inputs = _Images([index.run(None, listed, shard)["images"] for shard in index.shards(None, listed)])
    params = extract.Params(model=model, images=images, layers=[layer], positions_per_image=1, batch=batch)
    counted = params.model_copy(update={"counted": [layer]})
    inputs.learned = extract.fit(inputs, params)
    sampler = open_sampler(model, inputs.learned["ways"], [], batch, 1, None, params.dtype, Insertion(params.window))
    size, threads = sampler.model.input_size, threads_of()
    forward, spec = sampler.model.forward(), tf.TensorSpec((batch, *sampler.model.input_size, 3), tf.uint8)
    bare = freeze(lambda x: forward(sampler.model.to_input(x))[1], spec)
    shards = extract.STAGE.shards(inputs, params)
    spent: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            began = time.perf_counter()
            found = function(*args, **options)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - began
            return found

        return call

    def limit(part: int) -> None:
        stack: list[np.ndarray] = []
        uris = inputs.held[part]["uri"].to_pylist()
        for image in decoded(read_images(uris), lambda b: decode_to(b, size), 2 * batch, threads):
            stack.append(image)
            if len(stack) == batch:
                bare(tf.constant(np.stack(stack)))
                stack = []
        if stack:
            bare(tf.constant(np.stack([*stack, *[stack[0]] * (batch - len(stack))])))

    def whole(part: int, asked: Any = params) -> None:
        for name, table in extract.run(inputs, asked, shards[part]).items():
            target = os.path.join(folder, name.replace("/", "__") + ".parquet")
            timed("writing", pq.write_table)(table, target, compression="zstd")

    sampler.forward = timed("forward pass", sampler.forward)
    sampler.samples = timed("forward-mode", sampler.samples)
    taken: dict[str, list[float]] = {"limit": [], "extract": []}
    with tempfile.TemporaryDirectory() as folder:
        limit(0), whole(0)
        spent.clear()
        for part in range(len(shards)):
            for name, task in (("limit", limit), ("extract", whole)):
                began = time.perf_counter()
                task(part)
                taken[name].append(time.perf_counter() - began)
        counting = _counting(lambda part: whole(part), lambda part: whole(part, counted), len(shards), spent)
    count, total = sum(len(part) for part in inputs.held), sum(taken["extract"])
    spent["waiting for decoding, and the rest"] = total - sum(spent.values())
    figures = {
        "images": count,
        "images_per_second": count / total,
        "limit_images_per_second": count / sum(taken["limit"]),
        "share_of_limit": sum(taken["limit"]) / total,
        "seconds": dict(spent),
        "counting_channels": counting,
        **_alone(sampler, inputs, size, layer, batch),
    }
    print(f"{sampler.model.name}, {layer}")
    print(
        f"limit {figures['limit_images_per_second']:.0f} images/s, extract {figures['images_per_second']:.0f} images/s"
    )
    print(f"share of the limit {figures['share_of_limit']:.2f}")
    print(f"with the layer's channels counted, extract takes {counting:.3f} of its time")
    print("ms an image: " + ", ".join(f"{name} {1000 * s / count:.2f}" for name, s in spent.items()))
    alone = {name: value for name, value in figures.items() if name.endswith("_ms")}
    print("each alone, ms an image: " + ", ".join(f"{name[:-3]} {value:.2f}" for name, value in alone.items()))
    return figures


def _counting(plain: Callable[[int], None], counted: Callable[[int], None], parts: int, spent: dict) -> float:
    """How much longer ``counted`` takes than ``plain``: the sums of the least of some turns of each part."""
    before, least = dict(spent), {plain: [math.inf] * parts, counted: [math.inf] * parts}
    counted(0)  # compiles
    for part in [*range(parts)] * TURNS:
        for task, times in least.items():
            began = time.perf_counter()
            task(part)
            times[part] = min(times[part], time.perf_counter() - began)
    spent.clear()
    spent.update(before)
    return sum(least[counted]) / sum(least[plain])


def _alone(sampler: Any, inputs: _Images, size: tuple[int, int], layer: str, batch: int) -> dict[str, float]:
    """Decoding (one thread), the trunk and the head, each by itself: the least of some turns."""
    import tensorflow as tf

    from activation_atlas.stages.sources import read_images
    from activation_atlas.stages.vision.images import decode_to
    from activation_atlas.stages.vision.model import freeze

    model, data = sampler.model, list(read_images(inputs.held[0]["uri"].to_pylist()[:batch]))
    x = tf.constant(np.stack([decode_to(b, size) for b in data]))
    trunk = freeze(lambda x: model.trunk(layer)(model.to_input(x)), tf.TensorSpec(x.shape, x.dtype))
    held = trunk(x)
    head = freeze(lambda *t: model.head(layer)(t), *(tf.TensorSpec(t.shape, t.dtype) for t in held))
    tasks = {
        "decode": lambda: [decode_to(b, size) for b in data],
        "trunk": lambda: trunk(x),
        "head": lambda: head(*held),
    }
    best = {}
    for name, task in tasks.items():
        times = []
        for _ in range(8):
            began = time.perf_counter()
            task()
            times.append(time.perf_counter() - began)
        best[f"{name}_ms"] = 1000 * min(times) / batch
    return best
