"""Logarithms of probabilities, pushed back through what the end of a network computes.

The log of a softmax of z is z less one number for each image; of a sum it is the log-sum-exp of the logs; of a product
the sum of the logs. So the end of an ensemble or of a hierarchy is written out anew in logarithms, in which nothing
underflows and no gradient vanishes because a probability is near 0 or 1. Where no rule holds, the logarithm is taken
of the value itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.model.logits.end import End
from activation_atlas.stages.vision.model.logits.functions import (
    clipped_odds,
    constant_log,
    log,
    log_of_others,
    log_rest,
    log_softmax,
    log_sum,
    wide,
)
from activation_atlas.stages.vision.model.logits.levels import Levels, Log
from activation_atlas.stages.vision.model.logits.meaning import Meaning
from activation_atlas.stages.vision.model.logits.sums import HARMLESS, JOINS, is_harmless, terms_of


class Logarithms(Levels):
    """Logarithms of what slots hold, as further slots of the program's end.

    Attributes:
        mixed: whether anything but softmaxes and sigmoids had to be taken the logarithm of, so that the result is
            nothing that the network itself computes.
    """

    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.mixed = False
        self._known: dict[tuple[str, int], Log] = {}

    # -- what may be asked --------------------------------------------------------

    def log(self, slot: int) -> Log:
        """log p."""
        return self._once("log", slot, self._log)

    def rest(self, slot: int) -> Log:
        """log(1 - p)."""
        return self._once("rest", slot, self._rest)

    def odds(self, slot: int) -> int:
        """log p - log(1 - p)."""
        return self._once("odds", slot, lambda s: Log(self._odds(s))).slot

    def exponent(self, slot: int) -> Log:
        """log exp v: what the slot holds."""
        return self._once("exponent", slot, self._exponent)

    def odds_of_exponent(self, slot: int) -> int:
        """log p - log(1 - p) of p = exp v."""
        meaning = self.end.meaning(slot)
        if meaning is not None:
            (below,) = self.end.maker(slot).inputs
            if meaning.kind == "log_sigmoid":
                return below
            if meaning.kind == "log":
                return self.odds(below)
            if meaning.kind == "move":
                return self.end.again(self.end.maker(slot), {below: self.odds_of_exponent(below)})
        self.mixed = True
        return self.add("odds", lambda v: wide(v) - log_rest(tf.exp(wide(v))), [slot])

    # -- rules --------------------------------------------------------------------

    def _once(self, what: str, slot: int, rule: Callable[[int], Log]) -> Log:
        if (what, slot) not in self._known:
            self._known[what, slot] = rule(slot)
        return self._known[what, slot]

    def _log(self, slot: int) -> Log:
        end, meaning, step = self.end, self.end.meaning(slot), self.end.maker(slot)
        if meaning is None:
            return self._log_of_several(slot) or self._plain(slot, "log", log)
        (below,) = step.inputs
        if meaning.kind == "softmax":
            return self._normalised(below, meaning.axes)
        if meaning.kind == "sigmoid":
            return self._of_sigmoid(below, 1.0)
        if meaning.kind == "exp":
            return self.exponent(below)
        if meaning.kind == "move":
            known = self.log(below)
            return Log(end.again(step, {below: known.slot}), known.over)
        if is_harmless(meaning):
            return self.log(below)
        known = self._sum(slot)
        if known is None and meaning.kind in ("mean", "sum") and 0 not in meaning.axes:
            return self._reduced(slot, self.log(below), meaning)
        return known or self._plain(slot, "log", log)

    def _rest(self, slot: int) -> Log:
        end, meaning, step = self.end, self.end.meaning(slot), self.end.maker(slot)
        if meaning is not None:
            (below,) = step.inputs
            if meaning.kind == "softmax":
                self.mixed = self.mixed or np.prod([end.shapes[below][a] for a in meaning.axes]) != 2
                return Log(self.add("rest", partial(log_of_others, axes=meaning.axes), [below]))
            if meaning.kind == "sigmoid":
                return self._of_sigmoid(below, -1.0)
            if meaning.kind == "move":
                known = self.rest(below)
                return Log(end.again(step, {below: known.slot}), known.over)
            if is_harmless(meaning):
                return self.rest(below)
        elif step is not None and step.kind in JOINS:
            return self._joined(slot, [self.rest(below) for below in step.inputs])
        known = self._sum(slot, of_rest=True)
        if known is None and meaning is not None and meaning.kind == "mean" and 0 not in meaning.axes:
            return self._reduced(slot, self.rest(below), meaning)
        return known or self._plain(slot, "rest", log_rest)

    def _odds(self, slot: int) -> int:
        end, meaning, step = self.end, self.end.meaning(slot), self.end.maker(slot)
        if meaning is not None:
            (below,) = step.inputs
            if meaning.kind == "sigmoid":
                return below
            if meaning.kind == "move":
                return end.again(step, {below: self.odds(below)})
            if is_harmless(meaning):
                return self.odds(below)
            if meaning.kind == "clip" and 0 <= meaning.low < meaning.high <= 1:
                self.mixed = True
                return self.add("odds", partial(clipped_odds, low=meaning.low, high=meaning.high), [self.odds(below)])
            if meaning.kind == "affine" and (meaning.scale, meaning.offset) == (-1, 1):
                return self.add("odds", lambda x: -x, [self.odds(below)])
        elif step is not None and step.kind in JOINS:
            return end.again(step, {below: self.odds(below) for below in step.inputs})
        yes, no = self.log(slot), self.rest(slot)
        if yes.over == no.over:
            yes, no = Log(yes.slot), Log(no.slot)
        return self.add("odds", lambda a, b: wide(a) - wide(b), [self.whole(yes), self.whole(no)])

    def _exponent(self, slot: int) -> Log:
        end, meaning, step = self.end, self.end.meaning(slot), self.end.maker(slot)
        if meaning is not None:
            (below,) = step.inputs
            if meaning.kind == "log_softmax":
                return self._normalised(below, meaning.axes)
            if meaning.kind == "log":
                return self.log(below)
            if meaning.kind == "move":
                known = self.exponent(below)
                return Log(end.again(step, {below: known.slot}), known.over)
        elif step is not None and step.kind == "Subtract" and end.is_one(step.inputs[1]):
            known = self.exponent(step.inputs[0])
            return Log(known.slot, self.level(lambda v: v, [step.inputs[1]], known.over))
        return Log(slot)

    # -- pieces -------------------------------------------------------------------

    def _normalised(self, slot: int, axes: tuple[int, ...]) -> Log:
        """The log of a softmax."""
        shape = self.end.shapes[slot]
        if int(np.prod([shape[a] for a in axes])) == int(np.prod(shape[1:])):
            return Log(slot, self.level(partial(log_sum, axes=axes), [slot]))
        return Log(self.add("log", partial(log_softmax, axes=axes), [slot]))

    def _of_sigmoid(self, slot: int, sign: float) -> Log:
        if not self.end.is_one(slot):
            self.mixed = True
            return Log(self.add("log", lambda z: tf.math.log_sigmoid(sign * wide(z)), [slot]))
        # exp(z/2) and exp(-z/2), over their sum: so that neither of two classes has a logit that is constant.
        half = Log(self.add("half", lambda z: sign * wide(z) / 2, [slot]))
        over = self._once("over", slot, lambda s: Log(self.level(lambda z: tf.nn.softplus(z) - z / 2, [s]))).slot
        return Log(half.slot, over)

    def _plain(self, slot: int, name: str, function: Callable[[tf.Tensor], tf.Tensor]) -> Log:
        self.mixed = True
        return Log(self.add(name, function, [slot]))

    def _log_of_several(self, slot: int) -> Log | None:
        step = self.end.maker(slot)
        if step is None or len(step.outputs) != 1:
            return None
        if step.kind in JOINS:
            return self._joined(slot, [self.log(below) for below in step.inputs])
        if step.kind in ("Divide", "TrueDivide", "Multiply") and len(step.inputs) == 2:
            return self._product(slot, -1.0 if "Divide" in step.kind else 1.0)
        return self._sum(slot)

    def _product(self, slot: int, sign: float) -> Log:
        """The log of ``a b`` or ``a / b``; what is one number for each image only shifts the logits."""
        first, second = self.end.maker(slot).inputs
        if sign == 1 and self.end.is_one(first):
            first, second = second, first
        known, mixed = self.log(first), self.mixed
        other = self.log(second)
        if self.end.is_one(second) and not self.end.is_one(slot):
            self.mixed = mixed
            return Log(known.slot, self.level(lambda v: -sign * v, [self.whole(other)], known.over))
        self.mixed = True
        over = known.over
        if other.over is not None:
            over = self.level(lambda v: sign * v, [other.over], over)
        both = [known.slot, other.slot]
        return Log(self.end.add("product", lambda a, b: wide(a) + sign * wide(b), both, self.end.shapes[slot]), over)

    def _joined(self, slot: int, logs: Sequence[Log]) -> Log:
        step = self.end.maker(slot)
        same = len({known.over for known in logs}) == 1
        self.mixed = self.mixed or not same
        slots = [known.slot if same else self.whole(known) for known in logs]
        return Log(self.end.again(step, dict(zip(step.inputs, slots, strict=True))), logs[0].over if same else None)

    def _reduced(self, slot: int, known: Log, meaning: Meaning) -> Log:
        self.mixed = True
        shape = self.end.shapes[slot]
        count = np.prod([self.end.shapes[known.slot][a] for a in meaning.axes]) if meaning.kind == "mean" else 1

        def function(x: tf.Tensor) -> tf.Tensor:
            return tf.reshape(tf.reduce_logsumexp(wide(x), meaning.axes), (-1, *shape[1:])) - float(np.log(count))

        return Log(self.end.add("sum", function, [known.slot], shape), known.over)

    def _sum(self, slot: int, of_rest: bool = False) -> Log | None:
        """The log of a sum of probabilities with positive weights, or of 1 less that; None where it is no such sum."""
        constant, terms = terms_of(self.end, slot)
        if terms == [(1.0, slot)]:
            return None
        taken = self.rest if of_rest else self.log
        if of_rest:  # 1 - c - sum w p = (1 - c - sum w) + sum w (1 - p)
            constant = 1 - constant - sum(weight for weight, _ in terms)
        if abs(constant) < HARMLESS and len(terms) == 1 and abs(terms[0][0] - 1) < HARMLESS:
            return taken(terms[0][1])
        weight, below = terms[0]
        if len(terms) == 1 and weight == -1 and abs(constant - (0 if of_rest else 1)) < HARMLESS:
            return self.log(below) if of_rest else self.rest(below)
        if constant < -HARMLESS or any(weight <= 0 for weight, _ in terms):
            return None
        self.mixed = True
        return self._log_sum([(w, taken(s)) for w, s in terms], constant if constant > HARMLESS else 0.0)

    def _log_sum(self, terms: Sequence[tuple[float, Log]], constant: float) -> Log:
        """The log of ``constant + sum w p``. Over what each p is normalised by, in the mean: an ensemble of one network
        has the logits of that network."""
        overs = [known.over for _, known in terms if known.over is not None]
        same = len(overs) == len(terms) and len(set(overs)) == 1
        over = overs[0] if same else self.level(lambda *x: tf.add_n(x) / len(x), overs) if overs else None
        shift = [float(np.log(weight)) for weight, _ in terms]
        slots = [self.moved(known, over) for _, known in terms]
        if constant:
            given = [slots[0], *([over] if over is not None else [])]
            slots.append(self.add("constant", partial(constant_log, value=float(np.log(constant))), given))
            shift.append(0.0)

        def function(*logs: tf.Tensor) -> tf.Tensor:
            stacked = tf.stack([wide(x) + s for x, s in zip(logs, shift, strict=True)])
            return tf.reduce_logsumexp(stacked, 0)

        return Log(self.add("sum", function, slots), over)
