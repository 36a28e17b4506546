"""Names that were nearly right: which one was meant. A leaf."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence


def near(name: str, known: Sequence[str], count: int = 3) -> list[str]:
    """The names that may have been meant, at most ``count``, the nearest first; empty where none is near.

    Near is a name whose letters and digits, whatever their case and the signs between them, are alike in two of three
    (``difflib``'s ratio of at least 0.65, and within 0.1 of the best), or one that has all words asked for
    (of a path: of its end): ``conv_1`` in ``backbone/conv_1``, ``retriever`` in ``golden retriever``.
    """
    asked, words = _letters(name), f" {_words(name.rsplit('/', 1)[-1])} "
    plain: dict[str, str] = {}
    for other in known:
        plain.setdefault(_letters(other), other)
    alike = difflib.get_close_matches(asked, list(plain), count, 0.65)
    ratios = [difflib.SequenceMatcher(None, other, asked).ratio() for other in alike]
    alike = [plain[other] for other, ratio in zip(alike, ratios, strict=True) if ratio > max(ratios) - 0.1]
    within = [other for other in plain.values() if words in f" {_words(other)} "]
    return list(dict.fromkeys([*within, *alike]))[:count] if asked else []


def near_file(name: str, beside: Sequence[str]) -> str:
    """The file that may have been meant, as :func:`near` of its name without the ending; "" where none is near."""
    stems = {os.path.splitext(other)[0]: other for other in beside}
    return next((stems[stem] for stem in near(os.path.splitext(name)[0], list(stems), 1)), "")


def _letters(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _words(name: str) -> str:
    return " ".join(re.split(r"[\W_]+", name.casefold())).strip()


def meant(name: str, known: Sequence[str]) -> str:
    """What to say to somebody who gave an unknown name: what may have been meant, or else what there is."""
    if found := near(name, known):
        return f"did you mean {' or '.join(found)}?"
    if not known:
        return "there is none"
    return f"there {'is' if len(known) == 1 else 'are'} {', '.join(known[:5])}{', ...' if len(known) > 5 else ''}"


def nearest(name: str, known: Sequence[str], what: str) -> str:
    """``name`` where it is known; else a ValueError that says what is near, or what there is."""
    if name in known:
        return name
    raise ValueError(f"unknown {what} {name!r}; {meant(name, known)}")
