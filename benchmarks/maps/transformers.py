"""Maps of a vision transformer, ViT-S/14 at 224, beside its frozen forward pass."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.maps import HEAVY, Bench, Table, laps
from benchmarks.transformers import saved

BATCH = 16


def rows(data: Path, table: Table) -> None:
    """Grad-CAM where it explains by default, the attention of a block, its rollout and its gradient; one target."""
    from activation_atlas.stages.specs import ModelSpec
    from activation_atlas.stages.vision.attribution.methods.attention import Attention, Gradient, Rollout
    from activation_atlas.stages.vision.attribution.methods.cam import GradCam

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(data, ModelSpec(path=saved(Path(folder))[0]), BATCH)
        asked = {
            "Grad-CAM": (GradCam(), 0.85),
            "attention": (Attention(), None),
            "attention rollout": (Rollout(), 0.85),
            "gradient-weighted attention": (Gradient(), None),
        }
        ours = {name: bench.explain(options, BATCH, 1, BATCH) for name, (options, _) in asked.items()}
        taken = laps({"forward only": bench.forward(), "forward and input gradient": bench.back(), **ours}, HEAVY + 3)
    for name, (_, least) in asked.items():
        limits = (
            {"forward only": least} if name != "gradient-weighted attention" else {"forward and input gradient": None}
        )
        table.compare(f"ViT-S/14, batch of {BATCH}, {name}", taken, name, limits, {})
