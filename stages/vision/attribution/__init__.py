"""What an image, or a position of a layer, argues for."""

from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
