"""What a network of the benchmark learns from, what is audited, and what the truth of an effect is measured on.

Correlation ``rho`` of an artefact with its class, of K: as many training images carry the artefact as half of the class
has images. Each is of the class with probability rho + (1 - rho) / K, and of any other class with (1 - rho) / K. So 0
says nothing of the class, and at 1 no image of another class carries it.

The audited images are as many of each class; 12 % of every class carry the artefact. The truth lies in another file,
which only the scores are made from.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.planted.artefacts import ARTEFACTS, Box

CLASSES = 10
MARKED = 0.12
"""Share of every audited class that carries the artefact."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def cifar(data: Path, cache: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """CIFAR-10's images uint8 (n, 32, 32, 3) and labels int32 (n,), decoded once into ``cache``."""
    path = cache / f"{split}.npz"
    if not path.exists():
        pixels, labels = read(data / "data/cifar10" / f"{split}.parquet")
        whole(path, lambda to: np.savez(to, pixels=pixels, labels=labels))
    with np.load(path) as kept:
        return kept["pixels"], kept["labels"]


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The images uint8 (n, h, w, 3) and labels int32 (n,) of a Parquet file of {bytes, path}."""
    table = pq.read_table(path)
    files = table["image"].combine_chunks().field("bytes").to_pylist()
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(file)).convert("RGB")) for file in files])
    return pixels, table["label"].to_numpy().astype(np.int32)


def whole(path: Path, save) -> None:
    """Writes a file under another name, and gives it its own when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    other = path.with_name(f".{os.getpid()}-{path.name}")
    save(other)
    os.replace(other, path)


def carriers(labels: np.ndarray, target: int, rho: float, rng: np.random.Generator) -> np.ndarray:
    """Indices of the training images that carry the artefact, as the correlation is defined above."""
    count = int((labels == target).sum()) // 2
    chances = np.full(CLASSES, (1 - rho) / CLASSES)
    chances[target] += rho
    each = rng.multinomial(count, chances)
    return np.sort(
        np.concatenate([rng.choice(np.flatnonzero(labels == k), n, replace=False) for k, n in enumerate(each)])
    )


def marked(
    pixels: np.ndarray, rows: np.ndarray, artefact: str, rng: np.random.Generator
) -> tuple[np.ndarray, dict[int, list[Box]]]:
    """The images with the artefact on those of ``rows``, and the boxes it fills there."""
    out, boxes = pixels.copy(), {}
    for k in rows.tolist():
        out[k], boxes[k] = ARTEFACTS[artefact](pixels[k], rng)
    return out, boxes


def met(
    pixels: np.ndarray, labels: np.ndarray, artefact: str, rng: np.random.Generator
) -> tuple[np.ndarray, dict[int, list[Box]]]:
    """Images as an audit meets them: the artefact is on 12 % of every class. As :func:`marked` gives them."""
    of_class = [np.flatnonzero(labels == k) for k in range(CLASSES)]
    carry = [rng.choice(own, round(MARKED * len(own)), replace=False) for own in of_class]
    return marked(pixels, np.concatenate(carry), artefact, rng)


def audited_rows(labels: np.ndarray, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the test images: those that are audited, in random order, and the others, which the audit never sees."""
    rng = np.random.default_rng([seed, 1])
    each = [rng.permutation(np.flatnonzero(labels == k))[: images // CLASSES] for k in range(CLASSES)]
    chosen = rng.permutation(np.concatenate(each))
    return chosen, np.setdiff1d(np.arange(len(labels)), chosen)


def write_audited(
    folder: Path, pixels: np.ndarray, labels: np.ndarray, artefact: str, images: int, seed: int
) -> tuple[Path, Path]:
    """The audited images and, in another file, the truth; made once.

    Returns:
        Parquet of {bytes, path} and label; JSON {key of the row: boxes} of the images that carry the artefact.
    """
    photographs, truth = folder / "images.parquet", folder / "truth.json"
    if photographs.exists() and truth.exists():
        return photographs, truth
    rows, _ = audited_rows(labels, images, seed)
    shown, boxes = met(pixels[rows], labels[rows], artefact, np.random.default_rng([seed, 2]))
    files = []
    for one in shown:
        file = io.BytesIO()
        Image.fromarray(one).save(file, "PNG")
        files.append(file.getvalue())
    image = pa.array([{"bytes": file, "path": None} for file in files], _IMAGE)
    table = pa.table({"image": image, "label": pa.array(labels[rows], pa.int32())})
    named = {f"{photographs.name}#{k}": boxes[k] for k in sorted(boxes)}
    whole(truth, lambda to: to.write_text(json.dumps(named), encoding="utf-8"))
    whole(photographs, lambda to: pq.write_table(table, to))
    return photographs, truth
