"""A small run folder for the report: coloured photographs, three kinds of atlas, awkward names."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from activation_atlas.stages import tables
from activation_atlas.stages.report import Params
from activation_atlas.stages.specs import ImagesSpec, ViewSpec
from tests.memory import MemoryInputs

EVIL = "</script><img src=x onerror=alert(1)>"
CLASSES = [
    "goldfish",
    "$alt & pepper",
    EVIL,
    "a class with a very long name that no map has room for, really not",
    "cr_ab",
]
LAYER = "block/conv_relu"


def png(colour, size=24) -> bytes:
    out = BytesIO()
    pixels = np.full((size, size, 3), colour, np.uint8)
    pixels[::4] //= 2
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def cells(
    grid: int, classes: int, seed: int = 0, attributed: bool = True, ids=("a", "b"), whole: bool = False
) -> list[dict]:
    rng, rows = np.random.default_rng([seed, grid]), []
    for y in range(grid):
        for x in range(grid):
            if grid > 1 and rng.random() < 0.2:
                continue
            argues = rng.normal(0.0, 1.0, classes).astype(np.float32)
            argues[(x + y) % classes] += 2
            best = np.argsort(-argues, kind="stable")[:5]
            row = {
                "grid": grid,
                "cell_x": x,
                "cell_y": y,
                "count": int(rng.integers(1, 60)),
                "images": 2,
                "activation": rng.random(4).tolist(),
                "error_rate": 0.25,
                "label_entropy": 1.0,
                "exemplars": [{"image_id": i, "row": -1 if whole else 2, "col": -1 if whole else 5} for i in ids],
            }
            if attributed:
                row |= {"attribution": argues.tolist(), "top_classes": best.tolist()}
                row |= {"top_attributions": argues[best].tolist()}
                row |= {name: [0.3] * classes for name in ("attribution_se", "relative_se")}
                row["top_share"] = (np.exp(argues) / np.exp(argues).sum()).tolist()
                row["top_share_se"] = [0.05 if k else float("nan") for k in range(classes)]
                row["top_images"] = [2] * classes
            rows.append(row)
    return rows


def named(rows: list[dict]) -> pa.Table:
    """Every third cell is named; the first after a group, and then after a class."""
    found = []
    for k, row in enumerate(rows[::3]):
        for place, group in enumerate([True, False] if k == 0 else [False]):
            best = row["top_classes"][0]
            found.append(
                {c: row[c] for c in ("grid", "cell_x", "cell_y")}
                | {"place": place, "kind": "group" if group else "class", "name": "fish" if group else "its class"}
                | {"class": None if group else best, "images": 4, "expected": 0.31}
                | {"top_share": 0.3, "low": 0.15 if group else 0.2, "rate": 0.1}
                | {"q_value": 0.002, "lift": None if group else 3.12}
            )
    kinds = {"string": ("kind", "name"), "int32": ("place", "class", "images")}
    kinds |= {"float32": ("expected", "top_share", "low", "rate", "q_value", "lift")}
    kinds |= {"int16": ("grid", "cell_x", "cell_y")}
    types = {
        name: pa.string() if kind == "string" else getattr(pa, kind)() for kind, of in kinds.items() for name in of
    }
    return pa.Table.from_pylist(found, pa.schema([(name, types[name]) for name in found[0]]))


def trusted(grids) -> pa.Table:
    """A correlation of .5 over all classes, of .1 for the third class."""
    rows = [
        {"grid": n, "statistic": statistic, "kind": "predicted", "class": index, "group": None}
        | {"correlation": r, "low": r - 0.08, "high": r + 0.08, "lift": 2.1, "lift_low": 1.6, "lift_high": 2.6}
        | {"classes": 5, "photographs": 2, "cells": 9}
        for n in grids
        for statistic in ("mean", "relative", "top_share")
        for index, r in ((None, 0.5), (2, 0.1))
    ]
    floats = {name: pa.float32() for name in ("correlation", "low", "high", "lift", "lift_low", "lift_high")}
    types = {"statistic": pa.string(), "kind": pa.string(), "group": pa.string(), "grid": pa.int16(), **floats}
    return pa.Table.from_pylist(rows, pa.schema([(name, types.get(name, pa.int32())) for name in rows[0]]))


def icons(rows: list[dict], min_count: int) -> pa.Table:
    drawn = [
        {
            "grid": r["grid"],
            "cell_x": r["cell_x"],
            "cell_y": r["cell_y"],
            "icon": {"bytes": png((r["cell_x"] * 40 % 255, 90, r["cell_y"] * 50 % 255), 32), "path": None},
            "objective": 1.0,
            "cosine": 0.8,
            "retrieval_rank": 0,
            "retrieval_rank_raw": k % 2,
            "contrast": 0.2,
            "predicted": -1,
        }
        for k, r in enumerate(rows)
        if r["count"] >= min_count
    ]
    return pa.Table.from_pylist(drawn, tables.icons())


def scene(
    folder: Path,
    views: list[ViewSpec] | None = None,
    grids=(2, 4),
    icon_grids=(2,),
    classes=CLASSES,
    labels: bool = True,
    attributed: bool = True,
    min_count: int = 5,
    lost: bool = False,
    measured: bool = True,
    **report,
) -> tuple[MemoryInputs, Params]:
    """Inputs and params; ``lost``: the second photograph is gone since it was indexed.

    ``measured`` false: the run folder is an old one, without shares, names and validity.
    """
    names = {"a": f"{EVIL.replace('/', ':')}.png", "b": "two words.png"}
    for k, (image_id, name) in enumerate(names.items()):
        if not (lost and image_id == "b"):
            (folder / name).write_bytes(png((200, 60 * k, 30)))
    uris = [str(folder / n) for n in names.values()]
    label = pa.array([0, 1] if labels else [None, None], pa.int32())
    found = {
        "images": [
            pa.table(
                {
                    "image_id": ["a", "b"],
                    "uri": uris,
                    "label": label,
                    "split": pa.nulls(2, pa.string()),
                    "sha256": ["", ""],
                    "width": pa.array([24, 24], pa.int32()),
                    "height": pa.array([24, 24], pa.int32()),
                },
                tables.images(),
            ),
        ],
        "predictions": [
            pa.table(
                {
                    "image_id": ["a", "b"],
                    "label": label,
                    "pred": pa.array([0, 0], pa.int32()),
                    "prob": pa.array([0.9, 0.6], pa.float32()),
                    "correct": pa.array([True, False] if labels else [None, None], pa.bool_()),
                    "top_classes": pa.array([[0, 1], [0, 1]], pa.list_(pa.int32())),
                    "top_probs": pa.array([[0.9, 0.1], [0.6, 0.4]], pa.list_(pa.float32())),
                    "label_prob": pa.array([0.9, 0.4] if labels else [None, None], pa.float32()),
                }
            ),
        ],
        "rejects/index": [
            pa.table(
                {"image_id": ["c"], "uri": [f"https://me:word@host/{EVIL}"], "stage": ["index"], "reason": [EVIL]}
            ),
        ],
    }
    layer = {"channels": 4, "height": 8, "width": 8, "receptive_field": [7, 7], "stride": [3, 3], "offset": [1.0, 1.0]}
    attributed_classes = list(range(len(classes))) if attributed else []
    states = {
        ("extract", ""): {
            "classes": list(classes),
            "attributed": attributed_classes,
            "top": False,
            "kind": "softmax",
            "input_size": [24, 24],
            "layers": {LAYER: layer},
        }
    }
    views = views if views is not None else [ViewSpec(name="all", layer=LAYER)]
    for k, view in enumerate(views):
        rows = [r for g in grids for r in cells(g, len(classes), k, attributed, whole=view.images)]
        of = pa.Table.from_pylist(rows, tables.cells(4, len(attributed_classes)))
        old = [name for name in of.column_names if name.startswith(("top_share", "top_images")) or name.endswith("_se")]
        found[f"cells/{view.name}"] = [of if measured else of.drop_columns(old)]
        if measured and attributed and not view.images:
            found[f"names/{view.name}"] = [named([r for r in rows if r["grid"] == grids[-1]])]
            found[f"validity/{view.name}"] = [trusted(grids)]
            states["validity", view.name] = {"statistic": "top_share"}
        drawn = [r for r in rows if r["grid"] in icon_grids]
        if drawn:
            found[f"icons/{view.name}"] = [icons(drawn, min_count)]
        x = pa.array(np.linspace(0.05, 0.95, 40, dtype=np.float32))
        place = {
            "image_id": ["a", "b"] * 20,
            "row": pa.array([1] * 40, pa.int16()),
            "col": pa.array(range(40), pa.int16()),
        }
        found[f"layouts/{view.name}"] = [pa.table({**place, "x": x, "y": x}, tables.layouts())]
        states["reduce", view.name] = {"metrics": {"method": "umap", "trustworthiness": 0.91}}
    params = Params(
        title=f"A run {EVIL}",
        views=[
            {"view": v, "grids": list(grids), "icon_grids": list(icon_grids), "min_count": min_count} for v in views
        ],
        images=ImagesSpec(path=str(folder)),
        about={
            "config": {"model": {"path": "models/net.keras"}},
            "versions": {"numpy": "2"},
            "fingerprints": {"model": "ab"},
        },
        report={"poster": 480, **report},
    )
    return MemoryInputs(found, states), params
