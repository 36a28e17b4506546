"""Classes: their names, read from what tools write, and the one way from a name to its index. A leaf.

    classes = read_classes("imagenet_class_index.json")
    class_index("tench", classes.names, "model.classes")     # 0

Text files of a name a line (also "0 name", "0: name", "0,name", "n01440764 name"), CSV with or without a header,
JSON, YAML and Python literals: a list, {index: name}, {name: index} as Keras's ``class_indices``, Keras's
``imagenet_class_index.json``, a Hugging Face ``config.json`` (id2label), a list of {id, name}, ``names`` of a
``data.yaml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from activation_atlas.stages.classes.lines import classes_of_lines, classes_of_table
from activation_atlas.stages.classes.numbering import FORMS, WORDNET, Classes
from activation_atlas.stages.classes.objects import classes_in
from activation_atlas.stages.classes.text import DIGITS, NotLiteral, literal, text_of, yaml_of
from activation_atlas.stages.specs import meant
from activation_atlas.stages.stage import UserError

__all__ = ["WORDNET", "Classes", "class_index", "classes_of", "read_classes", "thresholds"]


def class_index(name: str, classes: Sequence[str], where: str, what: str = "class", also: Sequence[str] = ()) -> int:
    """The index of the class that a user names, or gives the index of.

    A name goes before an index. Where all names are numbers none is an index, and ``7`` is ``007``, as labels are read.
    A name of several classes means none of them: not even where a file tells them apart by their WordNet ids
    (``crane (n02012849)``), which are part of their names.

    Args:
        where: what asks, which the message begins with.
        what, also: what is asked for, and what else may be meant.

    Raises:
        UserError: there is none, or there are several; one line with what may be meant, or how to say which.
    """
    same = [k for k, other in enumerate(classes) if other == name]
    numbered = all(other.isdecimal() for other in classes)
    number = int(name) if name.isdecimal() and len(name) <= DIGITS else None
    if not same and number is not None:
        if not numbered and number < len(classes):
            return number
        same = [k for k, other in enumerate(classes) if numbered and other.lstrip("0") == name.lstrip("0")]
    if len(same) == 1:
        return same[0]
    shared = same or [k for k, other in enumerate(classes) if _plain(other) == name]
    if len(shared) > 1:
        indices = " and ".join(map(str, shared))
        names = list(dict.fromkeys(classes[k] for k in shared))
        if len(names) == len(shared):
            remedy = f"say which: {' or '.join(map(repr, names))}"
        else:
            remedy = "tell them apart in model.classes" if numbered else "give an index"
        raise UserError(f"{where}: {len(shared)} classes are called {name}, {indices}; {remedy}")
    if number is not None and not numbered:
        raise UserError(f"{where}: there is no class {number}; the model's are 0 to {len(classes) - 1}")
    raise UserError(f"{where}: unknown {what} {name!r}; {meant(name, [*also, *classes])}")


def thresholds(asked: float | Mapping[str, float], classes: Sequence[str]) -> list[float]:
    """The probability from which each class is predicted as one of several labels; 0.5 where none is given.

    Raises:
        UserError: the model has no such class.
    """
    if not isinstance(asked, Mapping):
        return [asked] * len(classes)
    own = {class_index(name, classes, "model.threshold"): value for name, value in asked.items()}
    return [own.get(k, 0.5) for k in range(len(classes))]


def _plain(name: str) -> str:
    """A name without the WordNet id that tells it from its like."""
    bare, bracket, rest = name.rpartition(" (")
    return bare if bracket and rest.endswith(")") and WORDNET.fullmatch(rest[:-1]) else name


def classes_of(given: str | Sequence[str] | None) -> Classes | None:
    """What a section ``model`` gives as ``classes``: a file, a list, or None.

    Raises:
        UserError: the file is missing, empty or of no known form.
    """
    if given is None:
        return None
    return read_classes(given) if isinstance(given, str) else Classes(list(given))


def read_classes(path: str | Path) -> Classes:
    """Class names from a file. Its content decides how it is read, then its extension.

    Numbers must run from 0, or from 1, without a gap, in any order. Where keys and values of an object could both
    be numbers, whole numbers (not texts) as values are indices, as Keras writes them; else the keys are.

    Raises:
        UserError: the file is missing, empty, of no known form, or its numbers have gaps or repetitions; one line.
    """
    path = Path(path)
    try:
        classes = _understood(text_of(path.read_bytes()), path.suffix.lower())
    except OSError as error:
        raise UserError(f"model.classes: {path} cannot be read ({error.strerror or error})") from None
    except RecursionError:
        raise UserError(f"model.classes: {path} is nested too deeply; it must hold {FORMS}") from None
    except ValueError as error:
        raise UserError(f"model.classes: {path} {' '.join(str(error).split())}") from None
    if not classes.names:
        raise UserError(f"model.classes: {path} holds no names; write one a line, in index order")
    empty = [index for index, name in enumerate(classes.names) if not name]
    if empty:
        raise UserError(f"model.classes: {path} has no name for index {empty[0]}; name every class")
    return classes


def _understood(text: str, suffix: str) -> Classes:
    if suffix == ".json":
        try:
            return classes_in(literal(text))
        except NotLiteral as error:
            raise ValueError(f"{error}; it must hold {FORMS}") from None
    if suffix in (".yaml", ".yml"):
        return classes_in(yaml_of(text))
    if suffix in (".csv", ".tsv"):
        return classes_of_table(text, suffix)
    if text.lstrip().startswith(("{", "[")):
        try:
            return classes_in(literal(text))
        except NotLiteral:
            pass  # a class may be called [unknown]
    return classes_of_lines([line.strip() for line in text.splitlines() if line.strip()])
