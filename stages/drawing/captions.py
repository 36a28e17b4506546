"""What is said of a method wherever its maps are drawn: its name, what they mean, and what is hatched."""

from __future__ import annotations

from collections.abc import Iterable

from activation_atlas.stages.methods import METHODS, Options


def title(options: Options) -> str:
    """The method's name; with the variant's own where it was given one."""
    name = METHODS[options.name].title
    return f"{name} ({options.as_})" if options.as_ else name


def meaning(options: Options) -> str:
    """One sentence on what high and low values say, and in which colours."""
    method = METHODS[options.name]
    colours = method.colours or "red speaks for the class, blue against it"
    if not method.signed:
        colours = "the lighter the colour, the more"
    said = method.meaning.replace("each pixel", f"each position of {options.layer}") if options.inner else method.meaning
    return f"{title(options)}: {said}; {colours}."


def hatched(methods: Iterable[Options]) -> str:
    """What hatching says in maps of these methods."""
    if any(METHODS[options.name].resolution == "windows" for options in methods):
        return "Hatched: where no window reaches, or a value is not finite."
    return "Hatched: where a value is not finite."
