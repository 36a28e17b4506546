"""activations -> layouts: where each row of an atlas lies.

``fit`` chooses the view's rows, learns a reduction from at most ``fit_rows`` of
them and measures it; ``run`` places every row of a part, each on its own: a
row's place never depends on its companions, its part or their number.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_serializer, field_validator

from activation_atlas.stages.drawing.numbers import percent, plural
from activation_atlas.stages.keys import find, positions, stored
from activation_atlas.stages.reduce.components import fit_components, project
from activation_atlas.stages.reduce.fidelity import fidelity
from activation_atlas.stages.reduce.kept import images_of, reach, still
from activation_atlas.stages.reduce.members import Members, sample, vectors_of
from activation_atlas.stages.reduce.neighbours import Index
from activation_atlas.stages.reduce.place import limits, normalise, place
from activation_atlas.stages.reduce.reducers import REDUCERS, clamp, one_thread
from activation_atlas.stages.specs import PositiveInt, Spec, ViewSpec, nearest
from activation_atlas.stages.stage import Inputs, Shard, Stage, State, UserError, aligned_shards
from activation_atlas.stages.tables import layouts, to_numpy

__all__ = ["REDUCERS", "STAGE", "Params", "ReduceSpec"]


class ReduceSpec(Spec):
    """How an atlas brings its rows to the plane."""

    method: str = Field("tsne", description="one of " + ", ".join(REDUCERS), json_schema_extra={"enum": list(REDUCERS)})
    components: PositiveInt = Field(50, description="linear components the vectors are reduced to first")
    n_neighbors: int = Field(30, ge=2, description="tsne, umap: small shows detail, large shows the whole")
    min_dist: float = Field(0.1, ge=0, le=1, description="umap: smaller gives denser islands and wider gaps")
    metric: Literal["cosine", "euclidean"] = Field("cosine", description="which rows count as neighbours")
    perplexity: float | None = Field(
        None, ge=1, description="tsne: weigh neighbours by a Gaussian of this perplexity, not n_neighbors alike"
    )
    fit_rows: PositiveInt = Field(200_000, description="rows the layout is learned from; it places the rest")
    keep: bool = Field(False, description="a run that grows keeps its layout, and new rows are placed in it")
    drift: float = Field(
        0.2,
        gt=0,
        le=1,
        description="keep: fitted anew once more than this share of the new rows lie further from the fitted ones "
        "than 95 % of these do from those of other images, or of the fitted rows have changed",
    )

    @field_validator("method")
    @classmethod
    def _known_method(cls, method: str) -> str:
        return nearest(method, list(REDUCERS), "method")


class Params(Spec):
    """Everything a layout depends on."""

    view: ViewSpec
    seed: int = 0
    reduce: ReduceSpec = ReduceSpec()

    @field_serializer("reduce")
    def _asked(self, reduce: ReduceSpec) -> dict[str, Any]:
        """Whether it is kept changes nothing of what a layout is until the run grows."""
        return reduce.model_dump(mode="json", exclude={"keep", "drift"})


def fit(inputs: Inputs, params: Params) -> State:
    """Learn the layout of one atlas.

    Returns plain arrays, n fitted rows sorted by key, C channels, m components, d = 2 dimensions (1 for a pair):
    ``components`` (C, m) and ``center`` (C,) bring an activation to a vector; ``image_id``, ``row``, ``col`` (n,)
    name the fitted rows, ``vectors`` (n, m) and ``layout`` (n, d) are their vectors and their raw places;
    ``low``, ``high`` (d,) are the layout's bounds; ``centroids`` (L, m) and ``lists`` (n,) speed up the search for
    neighbours; ``axes`` (m, d) where the reducer is linear; ``chosen_*`` the rows of a `top` or pair view,
    ``chosen_argued`` (rows, classes) how strongly they argue for the view's classes, and ``chosen_x`` in a pair.
    ``metrics`` holds what ``run.json`` shows. ``seen`` (images,) and ``reach`` are what
    :func:`stages.reduce.kept.still` asks of a state that is to be kept; ``told`` is what it found.

    Raises:
        UserError: no row belongs to the view, an unknown class, or values that are not finite.
    """
    view, spec = params.view, params.reduce
    members = Members.choose(inputs, view)
    keys, total = sample(inputs, members, spec.fit_rows, params.seed)
    if not total:
        raise UserError(members.empty())
    chosen = _chosen(members)
    if spec.keep and (old := inputs.before()) is not None and (kept := _kept(inputs, members, old, keys, params)):
        return {**kept, **chosen, "told": {**kept["told"], "rows": total}}
    raw = vectors_of(inputs, view, keys)
    with one_thread():
        components, center = fit_components(raw, min(spec.components, raw.shape[1], len(raw)), spec.metric)
        index = Index.build(project(raw, components, center, spec.metric), params.seed)
        options = clamp(spec, len(raw), view.name, inputs.warn)
        reduction = REDUCERS[spec.method](index, 1 if view.pair else 2, options, params.seed)
        low, high = limits(reduction.layout)
        metrics = {"method": spec.method, "rows": total, "fitted_rows": len(keys), "components": components.shape[1]}
        metrics |= fidelity(raw, reduction.layout, spec.metric, params.seed)
    state: State = {
        "components": components,
        "center": center,
        **_as_arrays(keys, ""),
        "vectors": index.vectors,
        "layout": reduction.layout,
        "low": low,
        "high": high,
        "centroids": index.centroids,
        "lists": index.lists,
        "metrics": metrics,
        "seen": images_of(inputs, members),
        "reach": reach(
            index, pc.index_in(keys["image_id"], value_set=pc.unique(keys["image_id"])).to_numpy(), params.seed
        ),
    }
    if reduction.axes is not None:
        state["axes"] = reduction.axes
    return state | chosen


def _chosen(members: Members) -> State:
    state: State = {}
    if members.keys is not None:
        state |= _as_arrays(members.keys, "chosen_") | {"chosen_argued": members.argued}
    if members.x is not None:
        state["chosen_x"] = members.x
    return state


def _kept(inputs: Inputs, members: Members, old: State, keys: pa.Table, params: Params) -> State | None:
    """The layout as it was, or None where it is to be fitted anew."""
    spec = params.reduce
    with one_thread():
        state, found = still(inputs, members, old, keys, spec.metric, params.seed)
    said = f"{percent(found['changed'])} of its fitted rows are no more what they were"
    if found["far"] is not None:
        few = f"{plural(found['new_rows'], 'new row')} of {plural(found['new_images'], 'image')}"
        said += f", and of {few} {percent(found['far'])} lie far from them"
    anew = max(found["changed"], found["far"] or 0) > spec.drift
    how = f"atlas {params.view.name}: the layout is {'fitted anew' if anew else 'kept'}"
    inputs.note(f"{how}: {said} (reduce.drift: {percent(spec.drift)})")
    return None if anew else {**state, "told": {**found, "drift": spec.drift}}


def run(inputs: Inputs, params: Params, shard: Shard) -> dict[str, pa.Table]:
    """Place the rows of one part that belong to the view."""
    view, state = params.view, inputs.state()
    keys = positions(inputs.part(view.rows_table, shard.index, _key_columns(view)))
    if "chosen_row" in state:
        chosen = find(keys, stored(state, "chosen_"))
        mine = chosen >= 0
    else:
        mine = Members.of(inputs, view).mask(shard.index, len(keys))
    keys = keys.filter(pa.array(mine))
    fitted = find(keys, stored(state, ""))
    layout = np.zeros((len(keys), state["layout"].shape[1]), np.float32)
    layout[fitted >= 0] = state["layout"][fitted[fitted >= 0]]
    if (fitted < 0).any():
        raw = to_numpy(inputs.part(view.rows_table, shard.index, [view.vector_column])[view.vector_column])
        with one_thread():
            vectors = project(raw[mine][fitted < 0], state["components"], state["center"], params.reduce.metric)
            index = Index(state["vectors"], state["centroids"], state["lists"])
            layout[fitted < 0] = place(vectors, index, state["layout"], state.get("axes"))
    places = normalise(layout, state["low"], state["high"])
    if "chosen_x" in state:
        places = np.stack([state["chosen_x"][chosen[mine]], places[:, 0]], 1)
    columns = [*keys.columns, pa.array(places[:, 0]), pa.array(places[:, 1])]
    return {f"layouts/{view.name}": pa.table(columns, schema=layouts())}


def _key_columns(view: ViewSpec) -> list[str]:
    return ["image_id"] if view.images else ["image_id", "row", "col"]


def _as_arrays(keys: pa.Table, prefix: str) -> dict[str, np.ndarray]:
    """Keys as arrays that need no pickle, of which :func:`stored` makes a table again."""
    image_id = np.array(keys["image_id"].to_pylist(), dtype="S")
    return {f"{prefix}image_id": image_id} | {prefix + n: keys[n].to_numpy() for n in ("row", "col")}


def _shards(inputs: Inputs, params: Params) -> list[Shard]:
    return aligned_shards(params.view.rows_table)(inputs, params)


STAGE = Stage(
    name="reduce",
    version=3,
    about="activations -> layouts: a place in the plane for every row",
    params=Params,
    shards=_shards,
    run=run,
    fit=fit,
    reads=lambda params: {params.view.rows_table: "part"},
    fit_reads=lambda params: (params.view.rows_table,),
    writes=lambda params: (f"layouts/{params.view.name}",),
    check=("extract", lambda inputs, params: Members.of(inputs, params.view)),
    state_of=lambda params: (("extract", ""),) if params.view.class_ or params.view.pair else (),
    libraries=("numpy", "umap-learn", "pynndescent", "numba", "openTSNE"),
    # BLAS threads are set for the whole process while a row is placed.
    threads=False,
    keeps=lambda params: params.reduce.keep,
    steps=lambda asked: [
        (a.name, {"view": a.view, "seed": asked.config.run.seed, "reduce": a.reduce}) for a in asked.config.atlases
    ],
    foreseen=True,
)
