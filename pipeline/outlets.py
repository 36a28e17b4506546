"""Where a run tells how it went, beside its folder: the log, a file of metrics. It never fails the run."""

from __future__ import annotations

from activation_atlas.pipeline import metrics
from activation_atlas.pipeline.config import Config
from activation_atlas.pipeline.history import Line, history
from activation_atlas.pipeline.lock import one_line
from activation_atlas.pipeline.progress import Progress
from activation_atlas.pipeline.store import Store


def tell(store: Store, config: Config, line: Line, told: Progress) -> None:
    """What the last line of the history says, wherever it is asked for; what cannot be told is a warning."""
    if config.run.metrics is not None:
        try:
            metrics.write(config.run.metrics, history(store))
        except OSError as error:
            told.say(f"run.metrics: {config.run.metrics} cannot be written ({one_line(error)})", "warning")
    told.over(line)
