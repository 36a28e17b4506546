"""The commands as functions: what ``activation-atlas`` and ``import activation_atlas`` both call."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activation_atlas.pipeline import runner
from activation_atlas.pipeline.config import Config, Source, load
from activation_atlas.pipeline.cost import line
from activation_atlas.pipeline.foresight import foresee
from activation_atlas.pipeline.plan import Planner
from activation_atlas.pipeline.progress import Progress, logged, progress
from activation_atlas.pipeline.record import about
from activation_atlas.pipeline.results import Doubt, RunFolder, RunResult
from activation_atlas.pipeline.steps import left_out, steps
from activation_atlas.pipeline.store import Store
from activation_atlas.stages.origin import model_spec
from activation_atlas.stages.specs import ModelSpec, listed

if TYPE_CHECKING:
    from activation_atlas.stages.vision.layer_info import LayerInfo

log = logging.getLogger(__name__)


def run(
    config: Source,
    *,
    out: str | os.PathLike[str] | None = None,
    settings: Sequence[str] | str = (),
    until: str | None = None,
    redo: Sequence[str] | str = (),
    scheduler: str = "sync",
    workers: int | None = None,
    repair: bool = False,
    strict: bool = False,
    fail_on: str | None = None,
    quiet: bool = False,
    told: Progress | None = None,
) -> RunResult:
    """Runs what is missing or stale of a configuration, in order, and nothing else.

    A call that was interrupted goes on where it was when it is made again, and ends with the same bytes.

    Args:
        config: a YAML file, the name of one that ships (``demo``), a mapping of the same keys, or a loaded one. Paths
            in a file are relative to it, those in a mapping to the working directory.
        out: the run folder; default: ``run.out``, else ``runs/`` and the run's name.
        settings: ``key=value`` with dotted keys, as ``--set`` takes them: ``["run.seed=1"]``; one, or several.
        until: the last stage to run.
        redo: stages to run again though they are current; one, or several.
        scheduler: ``sync``, ``threads``, ``processes``, or ``tcp://HOST:PORT`` of a Dask cluster. A script that uses
            processes keeps the call below ``if __name__ == "__main__":``.
        workers: how many; default: the cores.
        repair: reads the run folder through first; what is damaged is made again, see :meth:`RunFolder.verify`.
        strict, fail_on: as of the command. They change nothing but the exit status that the history records, which
            :meth:`RunResult.status` gives as well.
        quiet: only warnings are told, on standard error.
        told: hears how it goes, in place of standard error.

    Raises:
        UserError: something you can mend, in one line; everything finished so far is kept.
    """
    loaded = load(config, settings)
    root = run_folder(loaded, out)
    with told or progress("text", quiet) as told, logged(told):
        done = runner.run(loaded, str(root), told, until, listed(redo), scheduler, workers, repair, strict, fail_on)
    doubts = tuple(Doubt(doubt["message"], doubt["remedy"]) for doubt in done.doubts)
    folder = RunFolder(root, loaded.images.storage_options)
    # A key of the configuration, whichever stage has it.
    return RunResult(folder, done.ran, done.images, done.rejected, loaded.extract.max_rejects, doubts)


def run_folder(config: Config, out: str | os.PathLike[str] | None = None) -> Path:
    """Where a configuration runs."""
    return Path(out or config.run.out or f"runs/{config.run.name}")


@dataclass(frozen=True)
class PlannedStep:
    """A stage, of the whole run or of one atlas or variant, and what a run would do of it.

    Attributes:
        stage: its name.
        label: of the atlas or variant; "" of the run.
        shards: parts it has; None while what it waits for is not there.
        todo: pieces of work that would be done: shards, or 1 for a fit that comes before them.
        reason: why; "" where nothing would be done.
        surplus: whether parts would be dropped because there are fewer than before.
    """

    stage: str
    label: str
    shards: int | None
    todo: int
    reason: str
    surplus: bool

    @property
    def name(self) -> str:
        """Stage and label."""
        return f"{self.stage}/{self.label}" if self.label else self.stage

    @property
    def done(self) -> bool:
        """Whether nothing would be done."""
        return self.shards is not None and not self.todo and not self.surplus


@dataclass(frozen=True)
class Plan:
    """What a run would do; iterates over its steps.

    Attributes:
        folder: the run folder.
        steps: in running order.
        cost: what there is to do, counted, in one line; None where nothing is.
        left_out: the stages that are asked for and cannot be, for want of a model, in one line; None where all can.
    """

    folder: Path
    steps: tuple[PlannedStep, ...]
    cost: str | None
    left_out: str | None = None

    def __iter__(self) -> Iterator[PlannedStep]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def plan(config: Source, *, out: str | os.PathLike[str] | None = None, settings: Sequence[str] | str = ()) -> Plan:
    """What :func:`run` would do with the same arguments, and why. Opens no model and reads no image.

    Raises:
        UserError: the configuration is wrong, or names a layer or a class that the model's file does not have.
    """
    loaded = load(config, settings)
    root = run_folder(loaded, out)
    planner, chosen = Planner(Store(root)), steps(loaded, about(loaded))
    foresee(loaded, chosen)
    plans = planner.preview(chosen)
    rows = (PlannedStep(p.step.stage.name, p.step.label, p.shards, len(p.todo), p.reason, p.surplus) for p in plans)
    return Plan(root, tuple(rows), line(loaded, plans), left_out(loaded))


def layers(model: ModelSpec | Mapping[str, Any] | str | os.PathLike[str]) -> list[LayerInfo]:
    """The layers of a model that can carry an atlas, in running order.

    Args:
        model: a ``.keras`` or ``.h5`` file, ``application:NAME``, ``preset:NAME``, or a section ``model`` with more
            said.

    Raises:
        UserError: it cannot be opened, or not be understood; one line.
    """
    from activation_atlas.stages.vision.model import open_model

    opened = open_model(model_spec(model))
    if opened.ending.remark:
        log.warning("%s", opened.ending.remark)
    if not (found := opened.layers()):
        from activation_atlas.stages.vision.model.geometry import unplaced

        log.warning(
            "model %s: no layer has positions that can be traced back to the image%s",
            opened.name,
            unplaced(opened.shapes),
        )
    return found
