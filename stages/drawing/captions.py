"""What is said of a method wherever its maps are drawn: its name, what they mean, and what is hatched."""

from __future__ import annotations

from collections.abc import Iterable

from activation_atlas.stages.methods import METHODS, Options


def title(options: Options) -> str:
    """The method's name; with the variant's own where it was given one."""
    name = METHODS[options.name].title
    return f"{name} ({options.as_})" if options.as_ else name


_OF_QUANTITIES = {
    "the class’s logit": "the quantity",
    "the logit": "the quantity",
    "every class": "every quantity",
    "speaks for the class": "raises the quantity",
    "against it": "lowers it",
}


def meaning(options: Options, measured: bool = False) -> str:
    """One sentence on what high and low values say, and in which colours.

    Args:
        measured: of quantities, and not of classes.
    """
    method = METHODS[options.name]
    colours = method.colours or "red speaks for the class, blue against it"
    if not method.signed:
        colours = "the lighter the colour, the more"
    inner = getattr(options, "layer", None) if options.inner else None
    of = method.meaning if inner is None else method.meaning.replace("each pixel", f"each position of {inner}")
    said = f"{of}; {colours}."
    for of_classes, of_quantities in _OF_QUANTITIES.items() if measured else ():
        said = said.replace(of_classes, of_quantities)
    return f"{title(options)}: {said}"


def hatched(methods: Iterable[Options]) -> str:
    """What hatching says in maps of these methods."""
    if any(METHODS[options.name].resolution == "windows" for options in methods):
        return "Hatched: where no window reaches, or a value is not finite."
    return "Hatched: where a value is not finite."
