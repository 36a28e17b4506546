"""What can be told to be wrong in a configuration before anything is opened."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.inputs import StoreInputs
from activation_atlas.pipeline.plan import Step
from activation_atlas.pipeline.steps import sections
from activation_atlas.stages.stage import State


class Foreseen(StoreInputs):
    """The inputs of a run of which no more is there than what one stage foresees of its state."""

    def __init__(self, state: State):
        self._state = state

    def state(self, stage: str | None = None, label: str | None = None) -> State:
        return self._state

    def parts(self, table: str) -> int:
        return 0


def foresee(config: Config, steps: Sequence[Step]) -> None:
    """Refuses what is known to be wrong already; where nothing tells, nothing is said.

    Raises:
        UserError: a model that cannot be opened here, a layer or a class that is not the model's.
    """
    states = {}
    for stage in {step.stage.name: step.stage for step in steps}.values():
        if stage.foresee is not None:
            states[stage.name] = stage.foresee(sections(config))
    for step in steps:
        if step.stage.foreseen and step.stage.check and (state := states.get(step.stage.check[0])) is not None:
            step.stage.check[1](Foreseen(state), step.params)
