"""What a run will cost, in one line: counts that follow from the configuration (seconds would be a guess)."""

from __future__ import annotations

from collections.abc import Sequence

from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.plan import StepPlan
from activation_atlas.pipeline.steps import sections


def line(config: Config, plans: Sequence[StepPlan]) -> str | None:
    """What is to be done: the stages, and what each says that it takes; None where nothing is.

    Args:
        plans: of the stages that may run, as :meth:`pipeline.plan.Planner.preview` gives them.
    """
    todo = {plan.step.stage.name: plan.step.stage for plan in plans if not plan.done}
    if not todo:
        return None
    images = sum(plan.items for plan in plans if plan.step.stage.stamps is not None)
    asked = sections(config)
    return "; ".join([f"to do: {', '.join(todo)}", *(told for s in todo.values() for told in s.cost(asked, images))])
