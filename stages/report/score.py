"""How the model does on the images of a run, and which of them could not be used."""

from __future__ import annotations

from dataclasses import dataclass, field

from activation_atlas.stages.stage import Inputs
from activation_atlas.stages.tasks import labelled, right


@dataclass
class Score:
    """How the model does: predicted images, labelled ones, correct ones; rejects by reason (reason, stage, images)."""

    images: int = 0
    labelled: int = 0
    correct: int = 0
    rejects: list[tuple[str, str, int, str]] = field(default_factory=list)

    @property
    def accuracy(self) -> float | None:
        return self.correct / self.labelled if self.labelled else None


def read_score(inputs: Inputs) -> Score:
    """Accuracy and rejects of the run; a reject is (reason, stage, number of images, one of their addresses)."""
    score = Score()
    for part in inputs.stream("predictions", ["correct"]):
        score.images += len(part)
        score.labelled += int(labelled(part["correct"]).sum())
        score.correct += int(right(part["correct"]).sum())
    reasons: dict[tuple[str, str], list[str]] = {}
    for table in ("rejects/index", "rejects/extract"):
        for part in inputs.stream(table):
            for row in part.to_pylist():
                reasons.setdefault((row["reason"], row["stage"]), []).append(row["uri"])
    score.rejects = sorted(((r, s, len(u), min(u)) for (r, s), u in reasons.items()), key=lambda t: (-t[2], t[0], t[1]))
    return score
