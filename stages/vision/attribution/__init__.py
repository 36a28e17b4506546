"""What an image, or a position of a layer, argues for."""

from stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
