"""A paste's seam alone makes no cue: neither where nothing changes, nor where what is pasted is as good as what was."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from activation_atlas.stages import tables
from activation_atlas.stages.cues.verdict import Pairs, pasted, verdict
from activation_atlas.stages.intervention import cut
from activation_atlas.stages.trials.experiment import Patch, pastings, scored

SIZE, HOSTS, RECT = 24, 80, (4, 6, 14, 16)


def photographs(count: int, seed: int) -> dict[str, np.ndarray]:
    """Smooth images, each with its own tint, so that whatever comes from elsewhere has an edge around it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE
    made = {}
    for k in range(count):
        slope = rng.uniform(-40, 40, (2, 3))
        pixels = rng.uniform(80, 170, 3) + y[..., None] * slope[0] + x[..., None] * slope[1]
        made[f"{seed:04x}{k:012x}"] = np.clip(pixels, 0, 255).astype(np.uint8)
    return made


def edges(images: np.ndarray) -> np.ndarray:
    """Scores of a network that sees edges alone: class 1 wins where there is a seam of any kind."""
    steps = np.abs(np.diff(images.astype(float), axis=1)).sum((1, 2, 3))
    return np.stack([np.full(len(images), 2500.0), steps], 1)


def tried(hosts: dict[str, np.ndarray], patches: list[Patch], pixels: dict[str, np.ndarray]) -> pa.Table:
    """The table of the trials of patches on hosts, as the stage writes it, without what is taken out."""
    names, rows = list(hosts), []
    before = dict(zip(names, edges(np.stack(list(hosts.values()))), strict=True))
    others = [(name, (8.5, 10.5)) for name in pixels]
    changes = pastings(names, patches, others, [*pixels], {**hosts, **pixels}, np.random.default_rng(0))
    for change, after in scored(changes, edges, 32):
        was = before[change.image_id]
        told = {"candidate": 0, "class": 1, "intervention": change.kind, "image_id": change.image_id}
        told |= dict(zip(("top", "left", "bottom", "right"), change.rect, strict=True))
        logits = {"logit_before": was[1], "logit_after": after[1]}
        called = {"pred_before": was.argmax(), "pred_after": after.argmax()}
        rows.append({**told, "exemplar": change.exemplar, **logits, **called})
    return pa.Table.from_pylist(rows, schema=tables.trials())


def test_a_similar_images_same_place_turns_no_more_than_any_other_patch():
    hosts, others = photographs(HOSTS, 1), photographs(20, 2)
    patches = [Patch(name, 0, 0, RECT) for name in list(others)[:8]]
    trials = tried(hosts, patches, others)
    cue, random = Pairs.of(trials, "paste"), Pairs.of(trials, "random")
    assert cue.flips.mean() > 0.5 and random.flips.mean() > 0.5  # the seam does turn images, whatever is within
    found = pasted(trials, 0.05, 0)
    assert found["p_value"] > 0.05 and verdict(found, found["p_value"], 0.05) != "verified"


def test_an_images_own_pixels_put_back_turn_none():
    hosts = photographs(HOSTS, 1)
    for name in list(hosts)[:5]:
        (change,) = (
            c
            for c in pastings([name], [Patch(name, 0, 0, RECT)], [], [name], hosts, np.random.default_rng(0))
            if c.kind == "paste"
        )
        np.testing.assert_array_equal(change.image, hosts[name])
        np.testing.assert_array_equal(cut(change.image, RECT), cut(hosts[name], RECT))
        assert edges(change.image[None])[0, 1] == pytest.approx(edges(hosts[name][None])[0, 1])


def test_what_does_more_than_its_seam_is_found_all_the_same():
    """The counterpart: patches whose inside has the edges, too."""
    hosts, others = photographs(HOSTS, 1), photographs(20, 2)
    marked = {name: image.copy() for name, image in photographs(8, 3).items()}
    for image in marked.values():
        image[4:14, 6:16] = np.where(np.indices((10, 10)).sum(0)[..., None] % 2, 255, 0)
    trials = tried(hosts, [Patch(name, 0, 0, RECT) for name in marked], {**others, **marked})
    kept = trials.filter(pa.array([row not in ("noise",) for row in trials["intervention"].to_pylist()]))
    found = pasted(kept, 0.05, 0)
    assert found["effect"] > 0 and found["flip_rate"] == 1
