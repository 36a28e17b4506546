"""A YAML file -> a validated configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, SecretStr, ValidationError, create_model, model_validator

from activation_atlas import stages
from activation_atlas.pipeline.invalid import one_line
from activation_atlas.pipeline.paths import absolute
from activation_atlas.stages.channels import ChannelsSpec
from activation_atlas.stages.evaluate import EvaluateSpec
from activation_atlas.stages.explain import ExplainSpec
from activation_atlas.stages.extract import ExtractSpec
from activation_atlas.stages.groups import ClassesSpec
from activation_atlas.stages.look import LookSpec
from activation_atlas.stages.methods import RANDOM
from activation_atlas.stages.reduce import ReduceSpec
from activation_atlas.stages.render import RenderSpec
from activation_atlas.stages.report import ReportSpec
from activation_atlas.stages.specs import ImagesSpec, ModelSpec, PositiveInt, Spec, ViewSpec, folder, listed, slug
from activation_atlas.stages.specs.audit import AuditSpec
from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.attribution.boxes import BoxesSpec

NAME = re.compile(r"[A-Za-z0-9][\w.+-]*")


class RunSpec(Spec):
    """The run itself."""

    name: str = Field("atlas", description="title of the report")
    seed: int = Field(0, ge=0, description="every random choice follows from it")
    out: str | None = Field(None, description="the run folder; default runs/<name>")
    shard_images: PositiveInt = Field(256, description="images per part file: what a kill can cost")
    shard_timeout: float | None = Field(
        None,
        gt=0,
        description="seconds after which a worker that is at one shard is ended and the shard tried once more; of "
        "processes, and of Dask workers of one thread. It counts what a worker does first, opening the model; default: "
        "a shard takes as long as it takes",
    )
    metrics: str | None = Field(
        None, description="a file of what the run came to, in Prometheus' text format: NAME.prom for node_exporter"
    )
    webhook: SecretStr | None = Field(
        None, description="a URL to which what is new or worse than in the run before is posted, e.g. ${ATLAS_WEBHOOK}"
    )

    @model_validator(mode="after")
    def _checks(self) -> RunSpec:
        if self.webhook is not None and not self.webhook.get_secret_value().startswith(("https://", "http://")):
            raise ValueError("webhook must begin with https:// or http://")
        return self


class AtlasSpec(ViewSpec):
    """One named view of a layer, and how it is laid out and drawn."""

    reduce: ReduceSpec = Field(default_factory=ReduceSpec, description="how activations become a layout")
    grids: list[PositiveInt] = Field(
        default=[10, 20, 40], min_length=1, description="cells along a side: the coarsest times powers of two"
    )
    min_count: PositiveInt = Field(5, description="cells with fewer rows get no icon")
    render: RenderSpec | None = Field(default_factory=RenderSpec, description="null: no icons")

    @model_validator(mode="after")
    def _checks(self) -> AtlasSpec:
        if not NAME.fullmatch(self.name):
            raise ValueError(f"atlas name {self.name!r} must be of letters, digits and . _ + - (it names folders)")
        grids = sorted(self.grids)
        if grids != [grids[0] * 2**k for k in range(len(grids))]:
            raise ValueError(f"grids {self.grids} must be the coarsest times powers of two, e.g. [10, 20, 40]")
        chooses = self.keep == "top" and (self.class_ is not None or self.pair is not None)
        if self.rows != ViewSpec.model_fields["rows"].default and not chooses:
            raise ValueError(f"atlas {self.name}: rows is for a class with keep: top, or a pair; leave it out")
        if self.keep == "winner" and self.class_ is None:
            raise ValueError(f"atlas {self.name}: keep: winner is for a class; leave it out")
        return self

    @property
    def view(self) -> ViewSpec:
        return ViewSpec(**{name: getattr(self, name) for name in ViewSpec.model_fields})


class Config(Spec):
    """A whole configuration."""

    run: RunSpec = Field(default_factory=RunSpec, description="the run itself: its name, folder and seed")
    model: ModelSpec = Field(description="which classifier, and what it expects and returns")
    images: ImagesSpec = Field(description="where the images and their labels come from")
    classes: ClassesSpec | None = Field(None, description="groups of classes that are looked at together")
    extract: ExtractSpec = Field(default_factory=ExtractSpec, description="what is taken from images and model")
    channels: ChannelsSpec | None = Field(None, description="what single channels respond to; default: not asked")
    atlases: list[AtlasSpec] = Field(default_factory=list, description="the atlases; none is fine too")
    explain: ExplainSpec | None = Field(None, description="attribution maps of images; default: none")
    boxes: BoxesSpec | None = Field(None, description="where the maps say that the thing is; default: not asked")
    evaluate: EvaluateSpec | None = Field(None, description="do the maps tell the truth; default: not asked")
    audit: AuditSpec | None = Field(
        None, description="where the model fails, what it leans on, and proof by intervention; default: not asked"
    )
    look: LookSpec | None = Field(
        None, description="what every course on convnets draws, as a page; default: not drawn"
    )
    report: ReportSpec = Field(default_factory=ReportSpec, description="what the pages and figures show")

    @model_validator(mode="after")
    def _checks(self) -> Config:
        _differ("atlas names", [a.name for a in self.atlases], slug)
        _differ("explain: variants", [m.variant for m in self.explain.methods] if self.explain else [], slug)
        needless = sorted(self.model.model_fields_set - {"tables", "task", "threshold"}) if self.model.tables else ()
        if needless:
            raise ValueError(f"model.{needless[0]}: model.tables say what the network is; leave it out")
        counted = [] if self.channels is None else self.channels.layers
        _differ("layers", sorted({*self.extract.layers, *counted, *(a.layer for a in self.atlases)}), folder)
        for atlas in self.atlases:
            asks = atlas.class_ is not None or atlas.pair is not None
            if asks and self.extract.attribution == "none":
                raise ValueError(f"atlas {atlas.name} chooses rows by attribution, but extract.attribution is none")
        if self.boxes is not None and self.explain is None:
            raise ValueError("boxes: there are no maps; give explain too, e.g. explain: {methods: [grad_cam]}")
        if self.evaluate is not None and self.explain is None:
            raise ValueError("evaluate: there are no maps; give explain too, e.g. explain: {methods: [grad_cam]}")
        for variant in [m.variant for m in self.explain.methods] if self.evaluate and self.explain else ():
            if variant.casefold() in RANDOM:
                raise ValueError(f"explain: a variant cannot be called {variant}: evaluate calls the random map so")
        return self


def whole() -> type[Config]:
    """:class:`Config` with the sections that stages bring along, each called as its stage."""
    own = {name: section for name in stages.ORDER if (section := stages.stage(name).section) is not None}
    fields: dict[str, Any] = {
        name: (section | None, Field(None, description=stages.stage(name).about)) for name, section in own.items()
    }
    return create_model("Config", __base__=Config, **fields) if fields else Config


def _differ(what: str, names: Sequence[str], form: Callable[[str], str]) -> None:
    """Refuses names of which two would be one folder or file: those of macOS and Windows do not tell A from a.

    Raises:
        ValueError: names these.
    """
    forms = [form(name).casefold() for name in names]
    alike = sorted({n for n, own in zip(names, forms, strict=True) if forms.count(own) > 1})
    if alike:
        by = "; they name files, which do not tell upper from lower case, nor signs" if len(alike) > 1 else ""
        raise ValueError(f"{what} must differ: {', '.join(alike)}{by}")


def find(path: str) -> Path:
    """The file a user named: a path, or the name of a configuration that ships with the command."""
    given = Path(path)
    if given.is_file():
        return given
    shipped = Path(__file__).parent.parent / "configs" / f"{given.name.removesuffix('.yaml')}.yaml"
    if shipped.is_file() and (given.parent == Path(".") or given.parent.name == "configs"):
        return shipped
    raise UserError(f"{path}: no such file; give the path of a YAML configuration (see the README for one)")


Source = str | os.PathLike[str] | Mapping[str, Any] | Config
"""A configuration as one may have it: a YAML file, the name of one that ships, a mapping of its keys, a loaded one."""


def load(source: Source, overrides: Sequence[str] | str = ()) -> Config:
    """Reads a configuration.

    Args:
        source: relative input paths are relative to the YAML file; those of a mapping or a :class:`Config`, to the
            working directory.
        overrides: ``key=value`` with dotted keys, e.g. ``atlases.0.reduce.n_neighbors=30``; one, or several.

    Raises:
        UserError: one line, naming the key and its nearest neighbour where it is unknown.
    """
    overrides = listed(overrides)
    if isinstance(source, Config) and not overrides:
        return absolute(source, Path.cwd())
    if isinstance(source, Config):
        source = source.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(source, Mapping):
        return _checked(deepcopy(dict(source)), overrides, "the configuration", Path.cwd())
    file = find(os.fspath(source))
    try:
        data = yaml.load(_environment(file.read_text(encoding="utf-8"), file), _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise UserError(f"{where}: not YAML: {_problem(error)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read ({error})") from None
    if not isinstance(data, dict):
        raise UserError(f"{file}: must be a mapping with the sections {', '.join(whole().model_fields)}")
    return _checked(data, overrides, str(file), file.resolve().parent)


def _checked(data: dict[str, Any], overrides: Sequence[str], where: str, folder: Path) -> Config:
    for override in overrides:
        _override(data, override)
    try:
        config = whole().model_validate(data)
    except ValidationError as error:
        raise UserError(f"{where}: {one_line(error, whole())}") from None
    return absolute(config, folder)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice, of which YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _problem(error: yaml.YAMLError) -> str:
    return " ".join(str(getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read").split())


def _environment(text: str, file: Path) -> str:
    def value(match: re.Match[str]) -> str:
        name: str = match.group(1)
        default: str | None = match.group(2)
        if os.environ.get(name):
            return os.environ[name]
        if default is None:
            raise UserError(f"{file}: the environment variable {name} is not set")
        return default

    kept = [line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line) for line in text.split("\n")]
    return "\n".join(kept)


_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def _override(data: Any, override: str) -> None:
    key, sign, text = override.partition("=")
    if not sign:
        raise UserError(f"--set {override}: write key=value, e.g. run.seed=1")
    *path, last = key.split(".")
    node = data
    for step in path:
        if isinstance(node, list):
            if not step.isdigit() or int(step) >= len(node):
                raise UserError(f"--set {key}: {step!r} is not an index below {len(node)}")
            node = node[int(step)]
        elif isinstance(node, dict):
            node = node.setdefault(step, {}) if node.get(step) is not None else node.update({step: {}}) or node[step]
        else:
            raise UserError(f"--set {key}: nothing can be set below {step!r}")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override}: the value is not YAML ({_problem(error)}); put it in quotes") from None
    if isinstance(node, list):
        if not last.isdigit() or int(last) >= len(node):
            raise UserError(f"--set {key}: {last!r} is not an index below {len(node)}")
        node[int(last)] = value
    elif isinstance(node, dict):
        node[last] = value
    else:
        raise UserError(f"--set {key}: nothing can be set below {path[-1]!r}")
