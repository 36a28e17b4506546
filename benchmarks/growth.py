"""What 1 % new images cost beside a run of all: listed among the others in a folder, at the end of a Parquet file.

Twice: with parts that hold what they held (:mod:`stages.sources.assignment`), and, to the activations, with images
dealt to parts by a hash of their ids, the other way of making a part independent of the listing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.run import ROOT

SHARE, MOST = 0.01, 0.03
STAGES = ("index", "extract (fit)", "extract", "reduce (fit)", "reduce")
WAYS = {"stay": "parts that stay", "hashed": "parts by hash"}
HASHED = """
import hashlib
from activation_atlas.stages import index
def hashed(parts, listed, most):
    count = int(COUNT)
    made = [[] for _ in range(count)]
    for row, own in enumerate(listed):
        made[int(hashlib.sha256(own.encode()).hexdigest(), 16) % count].append(row)
    return made
index.assign = hashed
"""


def run(images: int = 10_000) -> dict[str, Any]:
    """Seconds of the stages to the layout, of all and of 1 % more; shares by source and by how parts are chosen."""
    data = (ROOT.parent / "shared").resolve()
    table = pq.read_table(data / "data/cifar10/test.parquet").slice(0, images)
    count = max(1, int(SHARE * len(table)))
    news = {
        "folder": np.random.default_rng(0).choice(len(table), count, replace=False),
        "parquet": np.arange(len(table) - count, len(table)),
    }
    figures: dict[str, Any] = {"images": len(table), "new": count}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for source, new in news.items():
            old = np.setdiff1d(np.arange(len(table)), new)
            for how in WAYS:
                out = folder / f"{source}_{how}"
                _write(folder / source, table, old, source)
                first = _timed(data, folder / source, source, out, how, len(table))
                _write(folder / source, table, np.arange(len(table)), source)
                second = _timed(data, folder / source, source, out, how, len(table))
                names = STAGES if how == "stay" else STAGES[:3]
                spent = [sum(found["seconds"][name] for name in names) for found in (first, second)]
                figures[f"{source}, {how}"] = {"all": first, "new": second, "share": spent[1] / spent[0]}
                most = f" (at most {MOST:.0%})" if how == "stay" else ""
                print(f"{source}, {WAYS[how]}: {spent[1] / spent[0]:.1%} of the seconds of all{most}", flush=True)
                for name in names:
                    print(f"  {name:<14} {first['seconds'][name]:8.1f} s {second['seconds'][name]:8.2f} s")
                print(f"  {'command':<14} {first['wall']:8.1f} s {second['wall']:8.2f} s", flush=True)
    return figures


def _write(place: Path, table: pa.Table, rows: np.ndarray, source: str) -> None:
    chosen = table.take(pa.array(rows))
    if source == "parquet":
        place.mkdir(exist_ok=True)
        pq.write_table(chosen, place / "images.parquet", row_group_size=1000)
        return
    place.mkdir(exist_ok=True)
    for row, image in zip(rows, chosen["image"].to_pylist(), strict=True):
        if not (place / f"{row:05}.png").exists():
            (place / f"{row:05}.png").write_bytes(image["bytes"])
    for row in set(range(len(table))) - set(rows.tolist()):
        (place / f"{row:05}.png").unlink(missing_ok=True)


def _timed(data: Path, images: Path, source: str, out: Path, how: str, count: int) -> dict[str, Any]:
    config = {
        "run": {"name": "growth"},
        "model": {"path": str(data / "models/cifar10_resnet_clean.keras")},
        "images": {"path": str(images / "images.parquet" if source == "parquet" else images)},
        "extract": {"positions_per_image": 20, "attribution": "all"},
        "atlases": [{"name": "all", "layer": "re_lu_8", "reduce": {"keep": True}}],
    }
    file = out.with_suffix(".yaml")
    file.write_text(yaml.safe_dump(config))
    patch = HASHED.replace("COUNT", str(max(1, round(count / 256)))) if how == "hashed" else ""
    until = "extract" if how == "hashed" else "reduce"
    words = ["run", str(file), "--out", str(out), "--until", until, "--log-format", "json"]
    call = f"import sys\nfrom activation_atlas.pipeline import cli\n{patch}\nsys.argv = ['', *{words!r}]\ncli.main()"
    before = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", call], cwd=ROOT, capture_output=True, text=True)
    wall = time.perf_counter() - before
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr[-2000:])
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    spent = {e["step"]: e["seconds"] for e in events if e["event"] == "end"}
    kept = json.loads((out / "run.json").read_text())["metrics"].get("reduce/all", {}).get("kept")
    return {"seconds": {name: spent.get(name, 0.0) for name in STAGES}, "wall": wall, "kept": kept}
