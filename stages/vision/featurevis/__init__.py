"""Feature visualisation: an image that makes a layer answer in a wanted direction.

Four questions, four modules: what is wanted (`objectives`), what may be drawn
(`image_param`), what it must withstand (`transforms`), how it is found
(`optimise`). `visualizer` joins them to a model, `receptive_crop` spares the part
of the model that nobody asks. Source: Olah et al., Feature Visualization
(Distill 2017), and lucid.
"""

from activation_atlas.stages.vision import quiet as _quiet  # noqa: F401 - before what imports TensorFlow
