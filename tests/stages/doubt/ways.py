"""Made-up predictions and ways: what the doubts are found in, without a model."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from activation_atlas.stages.doubt.finding import Seen


def seen(label, pred, classes=None, prob=0.9, folders=None) -> Seen:
    """Predictions of images in the order in which they are given."""
    label, pred = np.array(label, np.int64), np.array(pred, np.int64)
    classes = classes or [f"name {k}" for k in range(int(max(label.max(), pred.max())) + 1)]
    ids = [f"{k:016x}" for k in range(len(label))]
    return Seen(list(classes), label, pred, np.full(len(label), float(prob)), ids, folders or {})


def noise(n: int, classes: int, right: float = 0.0, seed: int = 0) -> Seen:
    """Labels at random, predictions that are right with probability ``right`` and else at random."""
    rng = np.random.default_rng([seed, n, classes])
    label, pred = rng.integers(0, classes, (2, n))
    return seen(label, np.where(rng.random(n) < right, label, pred), [f"name {k}" for k in range(classes)])


@dataclass
class Told:
    """Ways whose answers are given: name to the predictions of all images; ``sure``: the logit of each."""

    said: dict[str, np.ndarray]
    classes: int
    own: np.ndarray
    sure: float = 9.0
    now: str = "[0, 255]"
    kind: str = "softmax"
    asked: list[tuple[str, int]] = field(default_factory=list)

    @property
    def ways(self):
        return [SimpleNamespace(name=name, settings={"range": (0.0, 1.0)}, leave=()) for name in self.said]

    def rows(self, count):
        return np.arange(min(count, len(self.own)))

    def logits(self, way, count):
        self.asked.append((way.name if way else "", count))
        pred = (self.own if way is None else self.said[way.name])[: len(self.rows(count))]
        return self.sure * np.eye(self.classes, dtype=np.float32)[pred]

    def probabilities(self, way, count):
        z = np.exp(self.logits(way, count).astype(np.float64))
        return z / z.sum(1, keepdims=True)


def no_ways(of: Seen) -> Told:
    """Ways that all say what the model says now."""
    return Told({"other": of.pred}, len(of.classes), of.pred)
