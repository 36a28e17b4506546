"""From a file's bytes to pixels at the model's size, and from the model's pixels back to the photograph."""

from __future__ import annotations

from activation_atlas.stages.vision.images.fitting import (
    GREY,
    Crop,
    Fit,
    Interpolation,
    decode_to,
    fit_size,
    input_box,
    source_box,
)
from activation_atlas.stages.vision.images.reading import (
    EXTENSIONS,
    MAX_PIXELS,
    ImageError,
    decode,
    is_series,
    measure,
    probe,
)

__all__ = [
    "EXTENSIONS",
    "GREY",
    "MAX_PIXELS",
    "Crop",
    "Fit",
    "ImageError",
    "Interpolation",
    "decode",
    "decode_to",
    "fit_size",
    "input_box",
    "is_series",
    "measure",
    "probe",
    "source_box",
]
