"""Where a model's logits are: what goes into its last softmax or sigmoid, or what would have to.

The end of the network is walked back from its output (:mod:`.end`), through whatever moves values, to a softmax or a
sigmoid, each told by what it computes (:mod:`.meaning`). An end of several of them has no logits of its own: there the
logarithm of its probabilities is one, or their log-odds (:mod:`.logarithms`). That the logits give the probabilities
that the model returns is proved by numbers (:mod:`.proof`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import tensorflow as tf

from activation_atlas.stages.stage import UserError
from activation_atlas.stages.vision.model.logits.end import End
from activation_atlas.stages.vision.model.logits.functions import log, log_rest
from activation_atlas.stages.vision.model.logits.logarithms import Logarithms
from activation_atlas.stages.vision.model.logits.proof import Kind, Proof, Reading, probabilities, read
from activation_atlas.stages.vision.model.program import Program

__all__ = ["Ending", "Kind", "ends_in_one", "probabilities", "to_logits"]

Output = Literal["auto", "logits", "probabilities"]

Facts = Callable[[Program], tuple[dict[int, tuple], dict[int, str]]]
"""Runs a program symbolically; the shape and the dtype of each slot."""

ENOUGH = 1e-5
"""How far rebuilt probabilities may be from a model's own, in single precision."""


@dataclass(frozen=True)
class Ending:
    """How a model's logits are found; the same for the same network with other weights.

    Attributes:
        reading: what the model returns.
        pushed: whether the logarithm is taken step by step (:class:`Logarithms`), or of the output itself.
        remark: what the user should know of it, in one line.
    """

    reading: Reading
    pushed: bool = True
    remark: str | None = None


def to_logits(
    program: Program,
    said: tuple[Output, str],
    facts: Facts,
    images: Callable[[], tf.Tensor],
    where: str,
    ending: Ending | None = None,
) -> tuple[Program, Kind, Ending]:
    """Rewrites a program to end in logits of shape (images, classes), at least two classes.

    A single output z of a sigmoid becomes the two logits (0, z). Quantities stay as they are, one or several.

    Args:
        said: what ``model.output`` and ``model.task`` say.
        images: makes noise as the model receives it, (m, h, w, c).
        where: the model's name in messages.
        ending: what was found of this network before; nothing is then proved again.

    Raises:
        UserError: the output is not one row of classes, or cannot be told or shown to be logits or probabilities.
    """
    with warnings.catch_warnings():  # Keras warns of a softmax over one class, of which more is said here
        warnings.simplefilter("ignore")
        shapes, native = facts(program)
        shape = shapes[program.output]
        if len(shape) < 2 or int(np.prod(shape[1:])) != max(shape[1:], default=0):
            raise UserError(f"{where}: returns {_sized(shape)} for an image; a classifier returns one number per class")
        (output, task), classes = said, max(shape[1:])
        row = (lambda p: p.extended("logits/row", lambda x: tf.reshape(x, (-1, classes)))) if len(shape) > 2 else None
        if task == "quantities":
            return (row(program) if row else program), "quantity", Ending("scores")
        end = End(program, shapes, native)
        ending = ending or _Question(end, Proof(end, images), classes, where).answer(output)
    program = end.program(_logits(end, Logarithms(end), ending))
    program = row(program) if row else program
    kind: Kind = "sigmoid" if ending.reading.endswith("sigmoid") else "softmax"
    if task == "labels":
        if classes == 1 or (kind == "softmax" and ending.reading != "scores"):
            end_is = (
                "one sigmoid, which tells two classes apart" if classes == 1 else "a softmax, of which one class wins"
            )
            raise UserError(f"model.task: labels, but {where} ends in {end_is}; leave it out, or say classes")
        return program, "sigmoid", ending
    if classes == 1:
        return program.extended("logits/two", _two), "softmax", ending
    return program, kind, ending


def ends_in_one(program: Program) -> bool:
    """Whether the two logits are (0, z) of a single unit z."""
    return bool(program.steps) and program.steps[-1].operation is _two


def _logits(end: End, logs: Logarithms, ending: Ending) -> int:
    """The slot of the logits, which is added to the end where there is none."""
    slot, pushed = end.output, ending.pushed
    shape = end.shapes[slot]
    if ending.reading == "softmax":
        return logs.log(slot).slot if pushed else end.add("log", log, [slot], shape)
    if ending.reading == "sigmoid":
        return logs.odds(slot) if pushed else end.add("odds", lambda p: log(p) - log_rest(p), [slot], shape)
    if ending.reading == "log softmax":
        return logs.exponent(slot).slot if pushed else slot
    return logs.odds_of_exponent(slot) if ending.reading == "log sigmoid" else slot


class _Question:
    """What one model returns."""

    def __init__(self, end: End, proof: Proof, classes: int, where: str) -> None:
        self.end, self.proof, self.classes, self.where = end, proof, classes, where
        self.springs = end.springs(end.output)

    def answer(self, output: Output) -> Ending:
        behind = self.proof.behind
        seen: Reading = "scores" if behind is None else self._read(behind)
        proved = seen != "scores"  # else it depends on what comes
        rows = behind if proved else self.proof.images
        rows = behind if behind is not None and not rows.size else rows
        seen = self._read(rows)
        if output == "logits":
            return self._taken_at_its_word(seen, rows)
        if self.classes == 1 and self.springs["softmax"] and (rows == 1).all():
            raise UserError(f"{self.where}: a softmax over one class is always 1; use a sigmoid, or two classes")
        if output == "probabilities":
            if seen not in ("softmax", "sigmoid"):
                raise UserError(
                    f"model.output: probabilities, but {self.where} returns {_range(rows)} for noise"
                    f"{', which are logarithms of them' if seen.startswith('log') else ''}; leave model.output "
                    "(--output) out, or say logits"
                )
            return self._proved(seen, rows, stated=True)
        if seen != "scores" and (proved or behind is None):
            return self._proved(seen, rows)
        if seen in ("softmax", "sigmoid") and self.classes > 1 and not _constant(rows):
            self._ask(seen)
        return self._scores(rows)

    def _read(self, rows: np.ndarray) -> Reading:
        """What rows of the output are; a logarithm of sigmoids is one only where it is seen to be taken."""
        found = read(rows, self.proof.near)
        meaning = self.end.meaning(self.end.last())
        logs = meaning is not None and meaning.kind in ("log", "log_sigmoid")
        if found == "scores" and logs and read(np.exp(rows), self.proof.near) in ("softmax", "sigmoid"):
            return "log sigmoid"
        return found

    def _taken_at_its_word(self, seen: Reading, rows: np.ndarray) -> Ending:
        if seen not in ("softmax", "sigmoid") or _constant(rows):
            return Ending("scores")
        sums = " and sums to 1" if seen == "softmax" else ""
        said = f"its output is taken for logits, as model.output says, though it lies within [0, 1]{sums}"
        return Ending("scores", remark=f"{self.where}: {said}")

    def _scores(self, rows: np.ndarray) -> Ending:
        """Numbers of any size are logits; a single one, and what lies behind nothing but sigmoids, are not."""
        if self.springs and not self.springs["other"]:
            raise UserError(
                f"{self.where}: ends in {self._described()}, and returns {_range(rows)}: neither logits nor "
                "probabilities; save it up to there, or take them as they are with model.output: logits (--output)"
            )
        if self.classes == 1:
            raise UserError(
                f"{self.where}: returns one number without a sigmoid; a quantity (regression) is no class: say "
                "model.task: quantities (--task); of two classes, say what it is with model.output: logits (or "
                "probabilities), or --output"
            )
        return Ending("scores", remark=self._doubt())

    def _doubt(self) -> str | None:
        """What speaks against logits, where the end lets no number of any size through."""
        rows = self.proof.behind
        if rows is None or self.proof.ends_linear or len(rows) < 2:
            return None
        bounded = np.abs(rows[-1]).max() <= 1.01 * np.abs(rows[:-1]).max()
        if not bounded and rows.min() < 0:
            return None
        values = f"between {rows.min():.3g} and {rows.max():.3g}" if bounded else "never below 0"
        said = f"ends in {self._described()}, whose values are {values}"
        return f"{self.where}: {said}: they are taken for logits (say so with model.output: logits)"

    def _ask(self, seen: Reading) -> None:
        sums = "and sum to 1" if seen == "softmax" else "and do not sum to 1"
        raise UserError(
            f"{self.where}: returns values that lie within [0, 1] {sums}, but ends in {self._described()}, which may "
            "return others; say what they are with model.output (--output): logits or probabilities"
        )

    def _proved(self, reading: Reading, rows: np.ndarray, stated: bool = False) -> Ending:
        """The first way to logits that gives the model's own probabilities back.

        Args:
            rows: of the output, that told what it is.
            stated: whether the user says that these are probabilities.

        Raises:
            UserError: none does.
        """
        ways = [reading, *(["sigmoid"] if reading == "softmax" else [])]
        of_images = rows is not self.proof.behind
        gaps = []
        for ending in (Ending(way, pushed) for way in ways for pushed in (True, False)):
            logs = Logarithms(self.end)
            gaps.append(self.proof.gap(_logits(self.end, logs, ending), ending.reading, of_images))
            if gaps[-1] <= max(ENOUGH, self.proof.near):
                quiet = stated or (ending.pushed and not logs.mixed)
                return ending if quiet else replace(ending, remark=self._told(ending, rows))
        raise UserError(
            f"{self.where}: ends in {self._described()}; probabilities rebuilt from its logits differ from its own by "
            f"{min(gaps):.2g}; save it up to its logits, or take its output for them with model.output: logits "
            "(--output)"
        )

    def _told(self, ending: Ending, rows: np.ndarray) -> str:
        total, odds = round(float(rows[0].sum())), ending.reading.endswith("sigmoid")
        groups = odds and total > 1 and np.abs(rows.sum(1) - total).max() < 1e-3
        said = f"ends in {self._described()}{f', whose values sum to {total}' if groups else ''}"
        logits = (
            "log-odds of each probability" if odds else "logs of its probabilities, up to a constant for each image"
        )
        return f"{self.where}: {said}, and has no logits behind it: those explained are the {logits}"

    def _described(self) -> str:
        """The last step that is no move, and the softmaxes and sigmoids behind it."""
        last = self.end.last()
        step, springs = self.end.maker(last), self.end.springs(last)
        if step is None:
            return "its input"
        name = step.name.rsplit("/", 1)[-1]
        said = f"{name} ({step.kind})" if step.kind != name else name
        words = {"softmax": "softmaxes", "sigmoid": "sigmoids"}
        many = [f"{n} {words[k] if n > 1 else k}" for k in words if (n := springs[k])]
        own = self.end.meaning(last)
        behind = many and (own is None or own.kind.removeprefix("log_") not in words)
        part = "a part of " if int(np.prod(self.end.shapes[last][1:])) > self.classes else ""
        return f"{part}{said} of {' and '.join(many)}" if behind else part + said


def _two(z: tf.Tensor) -> tf.Tensor:
    """Two logits whose softmax is (1 - sigmoid(z), sigmoid(z))."""
    return tf.concat([tf.zeros_like(z), z], axis=-1)


def _range(rows: np.ndarray) -> str:
    return f"values from {rows.min():.3g} to {rows.max():.3g}" if rows.size else "no finite value"


def _constant(rows: np.ndarray) -> bool:
    """Whether an image makes no difference, so that nothing can be told."""
    return len(rows) < 2 or bool(np.allclose(rows, rows[:1], 1e-6, 1e-6))


def _sized(shape: tuple) -> str:
    return " x ".join(str(n) for n in shape[1:]) or "a single value"
