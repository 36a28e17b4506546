"""Where a run tells how it went, beside its folder: the log, a file of metrics, a webhook. It never fails the run."""

from __future__ import annotations

from activation_atlas.pipeline import metrics, webhook
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
    if config.run.webhook is not None and line.get("worse"):
        url = config.run.webhook.get_secret_value()
        if (why := webhook.post(url, line)) is not None:
            text = "did not take what is new or worse, which is in history.jsonl"
            told.say(f"run.webhook: {webhook.named(url)} {text} ({why})", "warning")
    told.over(line)
