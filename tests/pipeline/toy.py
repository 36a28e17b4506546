"""Three small stages, for tests of the runner: numbers, their squares, their sum."""

from types import SimpleNamespace

import pyarrow as pa

from activation_atlas.pipeline.plan import Step
from activation_atlas.stages.specs import Spec
from activation_atlas.stages.stage import Shard, Stage, UserError, aligned_shards, one_shard


class NumbersParams(Spec):
    file: str


class SquaresParams(Spec):
    power: int = 2
    fail_at: int | None = None


class TotalParams(Spec):
    title: str = "sum"


def _lines(params):
    with open(params.file) as file:
        return file.read().splitlines()


def _run_numbers(inputs, params, shard: Shard):
    return {"numbers": pa.table({"n": [int(x) for x in _lines(params)[shard.index].split()]})}


def _end_numbers(inputs, params):
    found = [n for part in inputs.stream("numbers") for n in part["n"].to_pylist()]
    if sum(found) > 100:
        inputs.warn(f"{len(found)} numbers make {sum(found)}")


NUMBERS = Stage(
    name="numbers",
    version=1,
    about="numbers of a file, a line each shard",
    params=NumbersParams,
    shards=lambda inputs, params: [Shard(k, k, k + 1) for k in range(len(_lines(params)))],
    run=_run_numbers,
    reads=lambda params: {},
    writes=lambda params: ["numbers"],
    end=_end_numbers,
    stamps=lambda params, shards: _lines(params),
)


def _fit_squares(inputs, params):
    least = min(n for part in inputs.stream("numbers") for n in part["n"].to_pylist())
    return {"offset": least, "metrics": {"seen": 1}}


def _run_squares(inputs, params, shard: Shard):
    if shard.index == params.fail_at:
        raise UserError("shard refused: mend the input")
    offset = inputs.state()["offset"]
    numbers = inputs.part("numbers", shard.index)["n"].to_pylist()
    if 13 in numbers:
        inputs.warn("an unlucky number")
    return {"squares": pa.table({"s": [(n - offset) ** params.power for n in numbers]})}


SQUARES = Stage(
    name="squares",
    version=1,
    about="squares above the least",
    params=SquaresParams,
    shards=aligned_shards("numbers"),
    run=_run_squares,
    reads=lambda params: {"numbers": "part"},
    writes=lambda params: ["squares"],
    fit=_fit_squares,
    fit_reads=lambda params: ["numbers"],
)

TOTAL = Stage(
    name="total",
    version=1,
    about="a page with the sum",
    params=TotalParams,
    shards=one_shard,
    run=lambda inputs, params, shard: {
        "site/total.txt": f"{params.title} {sum(inputs.table('squares')['s'].to_pylist())}".encode()
    },
    reads=lambda params: {"squares": "all"},
    writes=lambda params: [],
    files=True,
)

STAGES = {s.name: s for s in (NUMBERS, SQUARES, TOTAL)}


def steps(file, power=2, title="sum", fail_at=None):
    values = ({"file": str(file)}, {"power": power, "fail_at": fail_at}, {"title": title})
    return [Step(s, "", s.params(**v)) for s, v in zip(STAGES.values(), values, strict=True)]


def install(monkeypatch):
    """Puts these stages in the place of the real ones."""
    from activation_atlas.pipeline import runner, worker

    fake = SimpleNamespace(ORDER=tuple(STAGES), stage=STAGES.__getitem__)
    monkeypatch.setattr(runner, "stages", fake)
    monkeypatch.setattr(worker, "stages", fake)
