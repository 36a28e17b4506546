"""Where a run tells how it went, beside its folder: a file of metrics. It never fails the run."""

from __future__ import annotations

from collections.abc import Callable

from activation_atlas.pipeline import metrics
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.history import history
from activation_atlas.pipeline.lock import one_line
from activation_atlas.pipeline.store import Store


def tell(store: Store, config: Config, say: Callable[[str, str], object]) -> None:
    """What the last line of the history says, where ``run.metrics`` asks for it.

    Args:
        say: hears, with the level ``warning``, what could not be told.
    """
    if config.run.metrics is not None and (lines := history(store)):
        try:
            metrics.write(config.run.metrics, lines)
        except OSError as error:
            say(f"run.metrics: {config.run.metrics} cannot be written ({one_line(error)})", "warning")
