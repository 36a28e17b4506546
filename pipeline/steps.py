"""A configuration -> the steps of a run, in running order: what each stage is given of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from activation_atlas import stages
from activation_atlas.pipeline.config import AtlasSpec, Config
from activation_atlas.pipeline.plan import Step
from activation_atlas.stages.classes import classes_of
from activation_atlas.stages.evaluate import baseline
from activation_atlas.stages.evaluate.truth import listed
from activation_atlas.stages.extract import ExtractSpec
from activation_atlas.stages.groups import given
from activation_atlas.stages.stage import UserError


def steps(config: Config, about: dict[str, Any] | None = None) -> list[Step]:
    """The steps of a run, in running order; what each stage is given of the configuration."""
    seed, images = config.run.seed, config.images
    classes = classes_of(config.model.classes)
    names, also = (None, None) if classes is None else (classes.names, classes.also)
    model = config.model.model_copy(update={"classes": names})
    # Sorted: atlases in another order are the same work.
    layers = sorted({*config.extract.layers, *(a.layer for a in config.atlases if not a.images)})
    features = sorted({a.layer for a in config.atlases if a.images})
    groups = given(config.classes, also)
    found: list[Step] = []

    def add(name: str, label: str = "", **values: Any) -> None:
        stage = stages.stage(name)
        try:
            params = stage.params(**values)
        except ValidationError as error:  # what only the stage itself checks
            about_it = error.errors()[0]["msg"].removeprefix("Value error, ")
            where = f"atlas {label}" if "view" in values else f"{name} {label}".rstrip()
            raise UserError(f"{where}: {about_it}") from None
        found.append(Step(stage, label, params))

    # A file is mostly the user's own, trained on such folders; a published model has an order of its own.
    own = config.model.path is not None
    add(
        "index", images=images, classes=names, also=also, numbering=own, seed=seed, shard_images=config.run.shard_images
    )
    extract = {name: getattr(config.extract, name) for name in ExtractSpec.model_fields if name != "layers"}
    add("extract", model=model, images=images, seed=seed, **{**extract, "layers": layers, "features": features})
    add("doubt", model=model, images=images, seed=seed)
    for atlas in config.atlases:
        add("reduce", atlas.name, view=atlas.view, seed=seed, reduce=atlas.reduce)
    for atlas in config.atlases:
        if atlas.class_ is not None or atlas.pair is not None:
            add("purity", atlas.name, view=atlas.view)
    for atlas in config.atlases:
        add("grid", atlas.name, view=atlas.view, grids=sorted(atlas.grids), min_count=atlas.min_count)
    for atlas in config.atlases:
        add("attribute", atlas.name, view=atlas.view)
    for atlas in config.atlases:
        add("names", atlas.name, view=atlas.view, groups=groups, min_count=atlas.min_count)
    for atlas in config.atlases:
        if config.extract.attribution != "none" and not atlas.images:
            add("validity", atlas.name, view=atlas.view, min_count=atlas.min_count, groups=groups, seed=seed)
    for atlas in config.atlases:
        if atlas.render is not None:
            render = {"view": atlas.view, "render": atlas.render, "min_count": atlas.min_count}
            add("render", atlas.name, model=model, seed=seed, **render)
    for method in config.explain.methods if config.explain else ():
        chosen = {name: getattr(config.explain, name) for name in ("limit", "targets", "batch")}
        chosen |= {"select": config.explain.images, "method": method}
        add("explain", method.variant, model=model, images=images, seed=seed, **chosen)
    if config.evaluate is not None:
        _evaluation(config, add, {"model": model, "images": images, "seed": seed})
    views = [
        {
            "view": a.view,
            "grids": sorted(a.grids),
            "icon_grids": _icon_grids(a),
            "min_count": a.min_count,
        }
        for a in config.atlases
    ]
    explained = None
    if config.explain:
        explained = {name: getattr(config.explain, name) for name in ("limit", "methods", "targets")}
        explained["select"] = config.explain.images
        explained["measured"] = [t for s in found if s.stage.name == "sanity" for t in s.stage.writes(s.params)]
    made = {"title": config.run.name, "about": about or {}, "report": config.report}
    made["groups"] = groups
    add("report", views=views, images=images, explain=explained, **made)
    return found


def _evaluation(config: Config, add: Callable[..., None], common: dict[str, Any]) -> None:
    """Each variant and random maps evaluated, each variant's randomisation check, and what holds of all."""
    asked, methods = config.evaluate, sorted(config.explain.methods, key=lambda m: m.variant)
    against = {m.variant: baseline(m) for m in methods}
    common = {**common, "batch": asked.batch}
    stamps = sorted(listed(asked.masks).items()) if asked.masks is not None else None
    chosen = {name: getattr(asked, name) for name in ("deletion", "insertion", "steps", "limit", "masks", "tolerance")}
    chosen["boxes"] = (asked.boxes,) if isinstance(asked.boxes, str) else asked.boxes or ()
    chosen["masks_stamp"] = hashlib.sha256(json.dumps(stamps).encode()).hexdigest() if stamps else None
    for method in methods:
        add("evaluate", method.variant, method=method, maps=f"maps/{method.variant}", **chosen, **common)
    for random in sorted(set(against.values())):
        # Asked of the same images and classes: those of the first variant.
        add("evaluate", random, random=random, maps=f"maps/{methods[0].variant}", **chosen, **common)
    for method in methods if asked.randomization is not None else ():
        again = asked.randomization.model_dump()
        add("sanity", method.variant, method=method, randomization=again, **common)
    add("sanity", methods=methods, against=against, agreement=asked.agreement, **common)


def _icon_grids(atlas: AtlasSpec) -> list[int]:
    if atlas.render is None:
        return []
    unknown = sorted(set(atlas.render.grids) - set(atlas.grids))
    if len(unknown) == len(set(atlas.render.grids)) or (unknown and "grids" in atlas.render.model_fields_set):
        raise UserError(f"atlas {atlas.name}: render.grids {unknown} are not among its grids {sorted(atlas.grids)}")
    return sorted(set(atlas.render.grids) & set(atlas.grids))
