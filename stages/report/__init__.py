"""Tables -> posters, heat maps and the page that shows them.

The page and the figures hold nothing that is not in the tables and the
photographs: what a cell argues for, how often its photographs are
misclassified, how faithful its icon is, and which photographs are its evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from activation_atlas.stages.classes import class_index
from activation_atlas.stages.drawing.numbers import plural
from activation_atlas.stages.groups import Given, groups_of
from activation_atlas.stages.report import captions, contact, listed, page, payload, peaks, tiles
from activation_atlas.stages.report.assets import Assets
from activation_atlas.stages.report.audited import AUDIT, read_audited
from activation_atlas.stages.report.drawn import contact_grid, drawn_figures
from activation_atlas.stages.report.errors import error_audit
from activation_atlas.stages.report.errors.asked import Explained, explained
from activation_atlas.stages.report.errors.measured import headline
from activation_atlas.stages.report.evidence import Atlas, read_atlas, read_photos
from activation_atlas.stages.report.names import read_names
from activation_atlas.stages.report.presence import read_presence
from activation_atlas.stages.report.score import read_score
from activation_atlas.stages.report.textbook import textbook
from activation_atlas.stages.report.validity import read_validity
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import Grown, PositiveInt, ReadImages, Spec, ViewSpec, folder, slug
from activation_atlas.stages.stage import PAGE, Inputs, Shard, Stage, UserError, one_shard


class ReportSpec(Spec):
    """What the report shows."""

    thumbnails: int = Field(4, ge=1, le=8, description="photographs shown for each cell")
    classes: list[str] = Field(
        default_factory=list,
        description="classes to draw heat maps of; default: an atlas's own, or those that vary most",
    )
    patch: PositiveInt | None = Field(
        None,
        description="side of the photographs' patches, pixels of the model's input; default: as the icons",
    )
    photo: PositiveInt = Field(480, description="shorter side of the photographs on the page, in pixels")
    poster: int = Field(2400, ge=200, le=12000, description="side of a poster's map, in pixels")
    errors: PositiveInt = Field(200, description="images on the page of mistakes, the worst first")
    inline: float = Field(8, ge=0, description="up to so many megabytes of pictures, the page is one single file")


class AtlasReport(Spec):
    """One atlas of the report."""

    view: ViewSpec
    grids: list[PositiveInt]
    icon_grids: list[PositiveInt] = Field(default_factory=list)
    min_count: PositiveInt = 5


class Params(Grown, Spec):
    """``about``: config, versions and fingerprints of the run, for "How it was made"; ``textbook``, ``audit``: there is
    such a page."""

    newer = frozenset({"channels", "textbook", "audit"})

    title: str
    views: list[AtlasReport]
    images: ReadImages
    groups: Given | None = None
    about: dict[str, Any] = Field(default_factory=dict)
    report: ReportSpec = Field(default_factory=ReportSpec)
    explain: Explained | None = None
    channels: peaks.ShownChannels | None = None
    textbook: bool = False
    audit: bool = False


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, bytes]:
    """All files of the report: ``site/index.html``, ``site/errors.html``, ``site/assets/*``, ``figures/*``.

    The page of mistakes is there where an image has a label, or a map.
    """
    spec, model = params.report, captions.model_name(params.about)
    atlases = [read_atlas(inputs, v.view, v.grids, v.icon_grids, v.min_count) for v in params.views]
    for atlas in atlases:
        if not atlas.grids:
            inputs.warn(f"atlas {atlas.name} has no cells; the report leaves it out")
    atlases = [a for a in atlases if a.grids]
    for read in (read_presence, read_names, read_validity):
        read(inputs, atlases)
    strips = {
        (a.name, g.n, k): contact.PATCHES for a in atlases for g in [contact_grid(a)] for k in contact.main_cells(a, g)
    }
    wanted = _exemplars(atlases, spec.thumbnails, strips)
    photos = read_photos(inputs, wanted)
    images = params.images.settled(inputs.state("extract", "").get("images", {}))
    evidence = tiles.cut(inputs, images, atlases, photos, spec.thumbnails, strips, spec.patch, spec.photo, spec.poster)
    if evidence.missing:
        one = min(evidence.missing)
        inputs.warn(
            f"{plural(len(evidence.missing), 'photograph')} could not be read again and "
            f"{'is' if len(evidence.missing) == 1 else 'are'} shown as a blank, e.g. "
            f"{photos[one].uri if one in photos else one}: {evidence.missing[one]}"
        )
    score, assets = read_score(inputs), Assets()
    audited = read_audited(inputs) if params.audit else None
    files, previews = {}, []
    for name, form, content in drawn_figures(inputs, atlases, evidence, spec, model):
        files[f"figures/{name}"] = content
        if form is not None:
            previews.append({**form, "file": name, "src": assets.add(form["src"], form.pop("preview"))})
    for name, content in peaks.figures(inputs, params.channels, images, model) if params.channels else ():
        files[f"figures/{name}"] = content
    ids = sorted(set(photos) & wanted, key=lambda i: (photos[i].uri, i))
    order = {image_id: k for k, image_id in enumerate(ids)}
    described = [
        payload.describe_atlas(a, evidence, order, spec.thumbnails, spec.patch, assets, model) for a in atlases
    ]
    shown = payload.describe_photos(photos, ids, evidence, assets)
    links = assets.links(round(spec.inline * 1e6))
    data = {
        "title": params.title,
        "unit": "" if atlases and atlases[0].measured else " logits",
        "measured": any(atlas.measured for atlas in atlases),
        "several": any(atlas.several for atlas in atlases),
        "classes": atlases[0].classes if atlases else [],
        "atlases": described,
        "groups": groups_of(inputs, params.groups),
        "photos": shown,
        "found": audited.found if audited else [],
        "links": links,
    }
    for preview in previews:
        preview["src"] = links[preview["src"]]
    facts = {
        "model": model,
        "posters": previews,
        "config": page.as_yaml(params.about.get("config")),
        "versions": page.redacted(params.about.get("versions") or {}),
        "fingerprints": {table: inputs.digest(table)[:16] for table in _reads(params) if inputs.parts(table)},
        "missing": len(evidence.missing),
        "argued": captions.argued(inputs.state("extract", "")),
        "errors": None,
        "figures": listed.figures(files, {slug(a.name): captions.title(a) for a in atlases}, {}),
        **{"doubts": page.doubts(inputs), "headline": headline(inputs), "textbook": params.textbook},
        "audited": audited,
    }
    shown_of = (spec.errors, spec.photo, spec.inline, params.about, evidence.missing, params.textbook)
    audit = error_audit(inputs, params.title, params.explain, images, *shown_of, audited)
    if audit is not None:
        files.update(audit.files)
        facts["errors"] = audit.facts
        facts["figures"] += audit.figures
    if params.textbook:
        of = (params.channels.layers if params.channels else (), params.explain.found if params.explain else ())
        files.update(textbook(inputs, params.title, *of))
    files[PAGE] = page.page(params.title, data, atlases, score, facts)
    files.update({f"site/assets/{name}": content for name, content in assets.files.items()})
    return files


def _exemplars(atlases: Sequence[Atlas], thumbnails: int, strips: dict) -> set[str]:
    return {
        m[0]
        for a in atlases
        for g in a.grids
        for k, members in enumerate(g.exemplars)
        for m in members[: max(thumbnails, strips.get((a.name, g.n, k), 1))]
    }


def _check(inputs: Inputs, params: Params) -> None:
    """Classes asked for must be the model's, and have attributions."""
    extract = inputs.state("extract", "")
    for name in params.report.classes:
        index = class_index(name, extract["classes"], "report.classes")
        if index not in extract["attributed"]:
            raise UserError(
                f"report.classes: attributions of class {name!r} were not extracted; "
                "add it to extract.attribution, or leave it out"
            )


_ALWAYS = ("images", "predictions", "doubts", "measures", "rejects/index", "rejects/extract")


def _reads(params: Params) -> dict[str, str]:
    tables = {name: "all" for name in _ALWAYS}
    for v in params.views:
        tables[f"cells/{v.view.name}"] = "all"
        for table in ("layouts", "names", "validity"):
            tables[f"{table}/{v.view.name}"] = "all"
        if v.icon_grids:
            tables[f"icons/{v.view.name}"] = "all"
    for section in (params.explain, params.channels):
        tables |= {table: "all" for table in (section.reads if section else ())}
    more = [*(["looks"] if params.textbook else []), *(["spuriosity"] if params.audit else [])]
    return tables | dict.fromkeys(more, "all")


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    config = asked.config
    views = [
        {"view": a.view, "grids": sorted(a.grids), "icon_grids": _icon_grids(a), "min_count": a.min_count}
        for a in config.atlases
    ]
    shown = {"views": views, "images": asked.images, "groups": asked.groups, "explain": explained(asked)}
    shown |= {"channels": {"layers": asked.counted, "shown": config.channels.shown} if config.channels else None}
    made = {"title": config.run.name, "about": dict(asked.about), "textbook": config.look is not None}
    made["audit"] = AUDIT in asked.written
    yield "", {**made, "report": config.report, **shown}


def _icon_grids(atlas: Any) -> list[int]:
    if atlas.render is None:
        return []
    unknown = sorted(set(atlas.render.grids) - set(atlas.grids))
    if len(unknown) == len(set(atlas.render.grids)) or (unknown and "grids" in atlas.render.model_fields_set):
        raise UserError(f"atlas {atlas.name}: render.grids {unknown} are not among its grids {sorted(atlas.grids)}")
    return sorted(set(atlas.render.grids) & set(atlas.grids))


STAGE = Stage(
    name="report",
    version=13,
    about="posters, heat maps and the page that shows what each cell argues for",
    params=Params,
    shards=one_shard,
    run=run,
    check=("extract", _check),
    reads=_reads,
    writes=lambda params: ("site", "figures"),
    state_of=lambda params: [
        ("extract", ""),
        ("measures", ""),
        *((stage, v.view.name) for stage in ("reduce", "purity", "validity") for v in params.views),
        *(("channels", folder(layer)) for layer in (params.channels.layers if params.channels else ())),
        *([("look", "")] if params.textbook else ()),
        *([("audit", "")] if params.audit else ()),
        *(("explain", name) for name in (params.explain.settled if params.explain else ())),
    ],
    libraries=("matplotlib", "Pillow", "jinja2"),
    files=True,
    steps=_steps,
    page=PAGE,
    foreseen=True,
)
