"""Every attribution method: what its map says, formula, source, options; from the record it is declared with."""

from __future__ import annotations

from activation_atlas.stages.methods import METHODS, Method, baseline
from activation_atlas.stages.vision.attribution.methods.method import InputOrLayer
from docs.reference.configuration import rows_of
from docs.reference.markdown import anchored, code, table

RESOLUTIONS = {
    "layer": "a value for each position of the layer",
    "patches": "a value for each patch that is a token",
    "input": "a value for each pixel of the model's input",
    "windows": "a value for each window laid over the input",
}

GRAINS = {
    "smooth": "smooth between them",
    "blocky": "blocky, as what it is made of",
    "pixels": "different from pixel to pixel",
}

NEEDS = {
    "gradient": "a gradient",
    "linear head": "a linear head",
    "ReLU": "a ReLU",
    "attention": "attention among the patches of an image",
}


def page() -> str:
    parts = [
        "# Methods",
        "`explain.methods` names them, each alone (`grad_cam`) or with its options (`{name: occlusion, patch: 32}`); "
        "`as` names a variant where one is used twice. Each writes its raw maps to `maps/VARIANT`. In formulas, g is "
        "the gradient of the logit that is explained with respect to what is differentiated, A_k channel k of a layer.",
        table(("method", "what its map is", "source"), [_link(m) for m in METHODS.values()]),
    ]
    for method in METHODS.values():
        parts += [anchored(2, method.title, method.name), f"{_sentence(method.meaning)}", f"    {method.formula}"]
        parts.append(table(("", ""), _facts(method)))
        if options := rows_of(method.options, leave_out=("name", "as")):
            parts.append(table(("option", "what it may be", "default", "meaning"), options))
    return "\n\n".join(parts) + "\n"


def _link(method: Method) -> tuple[str, str, str]:
    return f"[`{method.name}`](#{method.name})", method.about, method.source


def _facts(method: Method) -> list[tuple[str, str]]:
    around = "around the map's own mean" if method.around == "mean" else "around zero" if method.signed else "from zero"
    colours = method.colours or ("red speaks for the class, blue against it" if method.signed else "lighter is more")
    at = RESOLUTIONS[method.resolution]
    if issubclass(method.options, InputOrLayer):
        at += ", or for each position of a layer, where one is given"
    return [
        ("name", code(method.name)),
        ("source", method.source),
        ("map", f"{at}; {GRAINS[method.grain]}"),
        ("values", f"{'signed' if method.signed else 'not negative'}, shown {around}: {colours}"),
        *([("unit", method.unit)] if method.unit else []),
        ("the model must have", ", ".join(NEEDS[need] for need in method.needs) or "nothing special"),
        ("for another class", "another map" if method.by_class else "the same map"),
        ("set against", code(baseline(method.options()))),
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
