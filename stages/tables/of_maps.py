"""What the tables of attribution maps, and of how far they are to be believed, mean; a part of ``described``."""

from __future__ import annotations

from activation_atlas.stages.stage import Table
from activation_atlas.stages.tables.flags import SILENT

_IMAGE = "first 16 hex digits of SHA-256 of the image's path relative to its source"

_MEAN = {
    "mean": "over images (null where there is none)",
    "low": "lower end of its 95 % interval (bootstrap over images; Wilson, of pointing and localised)",
    "high": "upper end of it",
    "n": "images it is taken over",
}

_LEFT_OUT = {"left_out": "images left out of it: a map of theirs says nothing (see flag in maps)"}

_RANKED = {
    **_MEAN,
    "n": "images it is taken over: the others' maps are now of one value, or not finite, and have no ranks",
}

_FORMS = {
    "": "",
    "_abs": "the same of absolute values (null for unsigned methods too): ",
    "_smooth": "the same of maps averaged over noisy copies of the image (null: not asked for): ",
    "_smooth_abs": "the same of the absolute values of such maps: ",
}

MAPS = (
    Table(
        "maps",
        ("image_id", "target"),
        "what in an image speaks for a class, by one method: raw, never upsampled or normalised",
        {
            "image_id": _IMAGE,
            "target": "class index",
            "target_kinds": "what the class was asked for as: predicted, label, second, rank:K, or its name",
            "layer": "where the method looks (null: at the input)",
            "height": "rows of the map",
            "width": "columns of the map",
            "stride": "(down, right) pixels of the model's input from one position to the next",
            "offset": "(down, right) pixel of the model's input, from 0, at the centre of position (0, 0)",
            "covers": "(top, left, bottom, right) rows and columns of the model's input that the map lies over, "
            "the last two exclusive; beyond them it says nothing",
            "map": "row by row; signed where the method is",
            "score": "the class's logit (of a single sigmoid unit z: z, and -z for class 0)",
            "gap": "path methods: sum of the map minus the change of the score; FullGrad: sum of its terms minus the "
            "score; of a fitted head: its logit minus the model's (null for others)",
            "fit": "lime and kernel_shap: share of the variance of the logit, over images with segments hidden, that "
            "the sum of the segments' values predicts (images it was not fitted to; where all were scored, all); "
            "1 at best, below 0 worse than the mean (null for others)",
            "flag": "why the map says nothing, and is not scored (null: it says something). "
            + "; ".join(f"{word}: {meaning}" for word, meaning in SILENT.items())
            + ", or the score is the same whatever is hidden",
        },
    ),
    Table(
        "boxes",
        ("image_id", "target"),
        "the box around the largest piece of what a map says is the thing; no row of maps that say nothing",
        {
            "image_id": _IMAGE,
            "target": "class index",
            "by": "threshold: what exceeds a share of the map's largest value; grabcut: what the image's colours join "
            "to the map's highest pixels",
            "left": "pixels of the upright image, from its edge (null: nothing of the map is positive)",
            "top": "the same, from the top",
            "right": "the same, beyond the last pixel",
            "bottom": "the same, beyond the last pixel",
            "input": "left, top, right, bottom in pixels of the model's input",
            "area": "share of the model's input that the piece within the box takes",
            "score": "as in maps: the class's logit",
        },
    ),
    Table(
        "faithfulness",
        ("image_id", "target"),
        "how well each map tells what the model went by; `random`, `random_pixels`: random maps, to be beaten",
        {
            "image_id": _IMAGE,
            "target": "class index",
            "target_kinds": "as in maps",
            "deletion": "area under the class's probability while the map's highest pixels turn grey; low is good",
            "insertion": "area under it while they come back into the blurred image; high is good",
            "pointing": "whether the map's maximum lies in the box or mask (null: there is none); of several equal "
            "maxima the share that does",
            "energy": "share of the map's positive part in the box or mask",
            "area": "share of the model's input that the box or mask takes: the chance level of both",
            "iou": "intersection over union of the map's box (see boxes) with the nearest of the given ones, or the "
            "one around the mask, on the model's input (null: no boxes are asked for, or there is no truth); of random "
            "maps, most of which is above the threshold, that of nearly the whole input",
            "flag": "why something is missing: the map's own flag, or what is wrong with the image or mask",
        },
    ),
    Table(
        "road",
        ("image_id", "target", "percent"),
        "ROAD: what is left of a map's class when pixels are filled in from what lies around them, with a little noise "
        "(no rows: the map is flagged in faithfulness)",
        {
            "image_id": _IMAGE,
            "target": "class index",
            "target_kinds": "as in maps",
            "percent": "share of the pixels that are removed",
            "morf": "the class's probability without the map's highest pixels (most relevant first); low is good",
            "morf_first": "whether it is still the most probable class: over labels, the paper's accuracy",
            "lerf": "the class's probability without the map's lowest pixels (least relevant first); high is good",
            "lerf_first": "whether it is still the most probable class",
        },
    ),
    Table(
        "complexity",
        ("image_id", "target"),
        "how far each map is spread out, on the pixels of the model's input, and nothing of whether it is right (no "
        "rows: the map is flagged in faithfulness)",
        {
            "image_id": _IMAGE,
            "target": "class index",
            "target_kinds": "as in maps",
            "complexity": "entropy, in nats, of the shares that pixels have of the absolute map: 0, one pixel has it "
            "all; log of their number, all have the same",
            "sparseness": "Gini index of the absolute map: 0, all pixels have the same; near 1, few have it all",
        },
    ),
    Table(
        "shuffled",
        ("depth", "place"),
        "each image's part in randomization: a part for each depth",
        {
            "depth": "layers shuffled, counted from the logits",
            "place": "of the image in the sample",
            "image_id": _IMAGE,
            "layers": "layers with weights that there are",
            "layer": "the earliest one shuffled",
            **_LEFT_OUT,
            **{
                f"correlation{form}": f"{said}rank correlation of the image's map with its map of the shuffled model "
                "(null: one has no ranks)"
                for form, said in _FORMS.items()
            },
        },
    ),
    Table(
        "randomization",
        ("depth",),
        "rank correlation of a variant's maps with those of the model when its last layers are shuffled; random masks "
        "and noise are drawn the same; `random`, `random_pixels`: of a random map with another draw of it, one row",
        {
            "depth": "layers shuffled, counted from the logits",
            "layers": "layers with weights that there are",
            "layer": "the earliest one shuffled",
            "images": "images whose maps were made again",
            **_LEFT_OUT,
            **{f"{name}{form}": f"{said}{what}" for form, said in _FORMS.items() for name, what in _RANKED.items()},
            "copies": "of each image that maps of the smooth form are the mean of (null: not asked for)",
        },
    ),
    Table(
        "road_curves",
        ("variant", "kind", "percent"),
        "shares of road, over images: how many a model without so many of their pixels still takes for the class",
        {
            "variant": "as in trust",
            "kind": "as in trust: of predicted, 1 where nothing is removed; of label, the paper's accuracy",
            "percent": "share of the pixels that are removed",
            "morf": "share of images whose class is still the most probable, the map's highest pixels removed; low is "
            "good",
            "morf_low": "lower end of its 95 % interval (Wilson)",
            "morf_high": "upper end",
            "lerf": "the same, the map's lowest pixels removed; high is good",
            "lerf_low": "lower end of its 95 % interval (Wilson)",
            "lerf_high": "upper end",
            "n": "images they are taken over",
        },
    ),
    Table(
        "correlations",
        ("image_id", "variant", "other"),
        "each image's part in agreement",
        {
            "image_id": _IMAGE,
            "variant": "one of two variants that have maps of it",
            "other": "the other, later in the alphabet, or the random map that is as smooth as the variant's",
            "correlation": "rank correlation, the mean over its classes (null: a map of each class says nothing)",
        },
    ),
    Table(
        "agreement",
        ("variant", "other"),
        "rank correlation of two variants' maps of one image and class, or of one with a random map, on the pixels of "
        "the model's input",
        {
            "variant": "one of them",
            "other": "the other, later in the alphabet, or `random`, `random_pixels`: the random map",
            **_MEAN,
            **_LEFT_OUT,
        },
    ),
    Table(
        "trust",
        ("variant", "kind", "measure"),
        "means of faithfulness, and of road, over images",
        {
            "variant": "a method's, or `random` (8 x 8 cells), `random_pixels` (each by itself)",
            "kind": "what the class was asked for as: predicted, label, ...",
            "measure": "deletion, insertion, pointing, energy, area or iou; complexity, sparseness; road_morf, "
            "road_lerf: the mean over the percentages of road; localised: share of images with an iou of "
            "at least .5; gain: by how much the map does better than the random one, in deletion and insertion "
            "together, image by image",
            **_MEAN,
            **_LEFT_OUT,
            "better": "share of images in which the map beats the random one (null for other measures)",
            "against": "the random one: as smooth, or as scattered, as the method's maps (null for it itself)",
        },
    ),
)
