"""The table of a repair: its schema, and what it means; a part of ``described``."""

from __future__ import annotations

import pyarrow as pa

from activation_atlas.stages.stage import Table

_SHARES = ("before", "after", "change")


def repair() -> pa.Schema:
    """How often held-out images are told rightly, before the last layer is fitted anew and after."""
    shares = [f"{name}{end}" for name in _SHARES for end in ("", "_low", "_high")]
    more = ("reference", "recovered", "taken_before", "taken_after")
    return pa.schema(
        [
            ("candidate", pa.int32()),
            ("class", pa.int32()),
            ("shown", pa.string()),
            ("fit", pa.string()),
            ("images", pa.int32()),
            *((name, pa.float32()) for name in (*shares, *more)),
        ]
    )


REPAIR = (
    Table(
        "repair",
        ("candidate", "class", "shown"),
        "how often held-out images are told rightly, before the last layer is fitted anew and after",
        {
            "candidate": "the verified cue, as in cues (null: of all images, or of those without any such cue)",
            "class": "class index: images that are labelled so (null: all)",
            "shown": "which images: all; without: those that carry no verified cue; with: those that carry this one; "
            "pasted: of those without any and of other classes, a copy with a patch of the cue pasted on, which was "
            "not used for fitting where the cue has several",
            "fit": "how the class was fitted against the cue: as they are (its images that carry it), pasted (too few "
            "do: copies of its images with the cue's patches pasted on), both (the cue's own class, where others are "
            "pasted on); null class: of all classes but the cue's own",
            "images": "how many they are",
            "before": "share of them that the model tells rightly",
            "before_low": "lower end of its 95 % interval (Wilson 1927)",
            "before_high": "upper end of it",
            "after": "the same with the last layer fitted anew",
            "after_low": "lower end of its 95 % interval (Wilson 1927)",
            "after_high": "upper end of it",
            "change": "after - before",
            "change_low": "lower end of its 95 % interval (Agresti & Min 2005)",
            "change_high": "upper end of it; below 0: this got surely worse",
            "reference": "what before would be without the cue: with: of images without any cue, class by class; "
            "pasted: of the same images as they are",
            "recovered": "change / (reference - before), the share of what the cue costs that came back (null: that it "
            "costs any is not sure)",
            "taken_before": "share of those labelled otherwise than the cue's class that are taken for it",
            "taken_after": "the same with the last layer fitted anew",
        },
    ),
)
