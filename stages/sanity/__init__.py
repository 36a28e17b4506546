"""maps and their figures -> what holds of methods: means, agreement, whether maps change when the model forgets.

One step for each variant (the model is shuffled layer by layer, a shard for each depth), one that compares the maps of
every two variants part by part, and one over all of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pydantic import Field

from activation_atlas.stages import tables
from activation_atlas.stages.methods import MethodSpec, baseline
from activation_atlas.stages.sanity.agreement import agreement, correlations
from activation_atlas.stages.sanity.chance import chance, set_against
from activation_atlas.stages.sanity.curves import curves
from activation_atlas.stages.sanity.faithfulness import MORE, summary
from activation_atlas.stages.sanity.randomization import cascade, sample, shuffled
from activation_atlas.stages.sections import Sections
from activation_atlas.stages.specs import Grown, OpenedModel, PositiveInt, ReadImages, Spec
from activation_atlas.stages.stage import Inputs, Shard, Shared, Stage, State, one_shard


class Randomization(Grown, Spec):
    """Images whose maps are made again, and how often; and over how many noisy copies of each, where that is asked."""

    newer = frozenset({"smooth"})

    images: PositiveInt
    depths: PositiveInt
    smooth: PositiveInt | None = None


class Params(Grown, Spec):
    """``method`` given: that variant's maps of shuffled models. ``compared``: the maps of all ``methods``, image by
    image. Neither: what holds of all methods together, which is made of what both wrote.
    """

    newer = frozenset({"road", "complexity"})

    model: OpenedModel
    images: ReadImages
    seed: int = 0
    method: MethodSpec | None = None
    randomization: Randomization | None = None
    methods: list[MethodSpec] = Field(default_factory=list)
    compared: bool = False
    agreement: bool = False
    against: dict[str, str] = Field(default_factory=dict, description="each variant's random map, a variant too")
    road: bool = False
    complexity: bool = False
    batch: PositiveInt = Field(32, exclude=True)

    @property
    def variants(self) -> list[str]:
        return [m.variant for m in self.methods]

    @property
    def randomized(self) -> list[str]:
        return self.variants if self.randomization is not None else []

    @property
    def more(self) -> list[str]:
        """Tables of each variant that are there where they were asked for."""
        return [name for name in MORE if getattr(self, name)]

    @property
    def drawn(self) -> list[str]:
        """The random maps that the variants are set against."""
        return sorted(set(self.against.values()))


COMPARED = "every two"
"""Label of the step that compares the variants, none of which can be called so."""


def _steps(asked: Sections) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each variant's maps of shuffled models, the comparison of all variants, and what holds of all."""
    if (section := asked.config.evaluate) is None:
        return
    methods = sorted(asked.config.explain.methods, key=lambda m: m.variant)
    common = {**asked.opened, "batch": section.batch}
    common["randomization"] = section.randomization and section.randomization.model_dump()
    for method in methods if section.randomization is not None else ():
        yield method.variant, {"method": method, **common}
    against = {m.variant: baseline(m) for m in methods}
    if section.agreement:
        yield COMPARED, {"compared": True, "methods": methods, "against": against, **asked.opened}
    measured = {"agreement": section.agreement, "road": section.road and not asked.measured}
    measured["complexity"] = section.complexity
    yield "", {"methods": methods, "against": against, **measured, **common}


def _cost(asked: Sections, images: int) -> Iterator[str]:
    if (again := asked.config.evaluate.randomization) is not None:
        some = f"maps of at most {min(images, again.images)} images"
        yield f"{some} made again by {again.depths} shuffled models"
        if again.smooth is not None:
            yield f"the same of {again.smooth} copies of each image, and once more by the model itself"


def fit(inputs: Inputs, params: Params) -> State:
    """Of a variant, the maps that are made again; of all, the rows of the tables, and what of them is recorded."""
    if params.method is not None:
        return sample(inputs, params)
    if params.compared:
        return {"chosen": inputs.state("evaluate", params.variants[0])["chosen"]}
    means = summary(inputs, params.against, params.seed, params.more)
    state: State = {"trust": means, "metrics": _metrics(means)}
    for name, rows in _forgotten(inputs, params).items():
        state[f"randomization/{name}"] = rows
        said = {f"{r['depth']} of {r['layers']} layers": _short(r["mean"]) for r in rows}
        said |= {"left out": rows[0]["left_out"]} if rows else {}
        said |= {"smooth": _short(rows[-1]["mean_smooth"])} if rows and rows[-1]["copies"] else {}
        state["metrics"].setdefault("randomization", {})[name] = said
    if params.road:
        state["road_curves"] = curves(inputs, [*params.variants, *params.drawn])
    if params.agreement:
        state["agreement"] = agreement(inputs, params.variants, params.against, params.seed)
        state["metrics"]["agreement"] = {f"{r['variant']}, {r['other']}": _short(r["mean"]) for r in state["agreement"]}
    return state


def _forgotten(inputs: Inputs, params: Params) -> dict[str, list[dict[str, Any]]]:
    """Rows of ``randomization`` by variant, and by the random map that variants are set against."""
    if params.randomization is None:
        return {}
    copies = params.randomization.smooth
    found = {variant: cascade(inputs, variant, params.seed, copies) for variant in params.randomized}
    size = tuple(inputs.state("extract", "")["input_size"])
    for random in params.drawn:
        found[random] = chance(inputs, set_against(params.against, random), random, size, params.seed)
    return found


def _metrics(means: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean of each measure beside the random map's, by variant and kind of target."""
    mean_of = {(r["variant"], r["kind"], r["measure"]): r["mean"] for r in means}
    found: dict[str, Any] = {}
    for row in means:
        if row["against"] is not None:
            random = mean_of.get((row["against"], row["kind"], row["measure"]))
            said = {"mean": _short(row["mean"])} | ({} if random is None else {"random": _short(random)})
            said |= {} if row["better"] is None else {"better than random": _short(row["better"])}
            said |= {"left out": row["left_out"]} if row["left_out"] else {}
            found.setdefault(row["variant"], {}).setdefault(row["kind"], {})[row["measure"]] = said
    return found


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """A variant's maps of one shuffled model; the maps of one part, compared; or what ``fit`` found, as tables."""
    if params.method is not None:
        return {f"shuffled/{params.method.variant}": shuffled(inputs, params, shard.index)}
    if params.compared:
        size = tuple(inputs.state("extract", "")["input_size"])
        variants = {m.variant: m.at(size) for m in params.methods}
        chosen = inputs.state()["chosen"]
        found = correlations(inputs, variants, params.against, chosen, size, params.seed, shard.index)
        return {"correlations": found}
    state, made = inputs.state(), {}
    for name in _writes(params):
        schema = getattr(tables, name.partition("/")[0])()
        rows = sorted(state[name], key=lambda row: tuple(row[k] for k in tables.TABLES[name.partition("/")[0]].key))
        made[name] = pa.Table.from_pylist(rows, schema=schema)
    return made


def _shards(inputs: Inputs, params: Params) -> list[Shard]:
    if params.method is not None and params.randomization is not None:
        return [Shard(k, k, k + 1) for k in range(params.randomization.depths)]
    if params.compared:
        return [Shard(k, k, k + 1) for k in range(min(inputs.parts(f"maps/{v}") for v in params.variants))]
    return one_shard(inputs, params)


def _writes(params: Params) -> tuple[str, ...]:
    if params.method is not None:
        return (f"shuffled/{params.method.variant}",)
    if params.compared:
        return ("correlations",)
    kept = [f"randomization/{v}" for v in (*params.randomized, *(params.drawn if params.randomized else ()))]
    more = {"agreement": params.agreement, "road_curves": params.road}
    return (*kept, *(name for name, asked in more.items() if asked), "trust")


def _reads(params: Params) -> dict[str, Shared]:
    if params.method is not None:
        return {"images": "all"}
    return {f"maps/{v}": "part" for v in params.variants} if params.compared else {}


def _fit_reads(params: Params) -> tuple[str, ...]:
    if params.method is not None:
        again = params.randomization is not None and params.randomization.smooth is not None
        return (f"maps/{params.method.variant}", *(("images",) if again else ()))
    if params.compared:
        return ()
    made = (*(f"shuffled/{v}" for v in params.randomized), *(("correlations",) if params.agreement else ()))
    measured = ("faithfulness", *params.more)
    return (*made, *(f"{name}/{v}" for name in measured for v in sorted({*params.against, *params.against.values()})))


def _state_of(params: Params) -> tuple[tuple[str, str], ...]:
    if params.method is not None:
        return (("evaluate", params.method.variant), ("explain", params.method.variant))
    if params.compared:
        return (("extract", ""), ("evaluate", params.variants[0]))
    return (("extract", ""),) if params.randomized else ()


STAGE = Stage(
    name="sanity",
    version=4,
    about="how far maps are to be trusted: means, agreement of methods, maps of a model that forgets",
    params=Params,
    shards=_shards,
    run=run,
    reads=_reads,
    writes=_writes,
    fit=fit,
    fit_reads=_fit_reads,
    state_of=_state_of,
    libraries=("tensorflow", "keras", "pillow", "numpy"),
    model=True,
    threads=False,
    steps=_steps,
    cost=_cost,
)
