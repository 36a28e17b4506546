"""How it is found: gradient ascent on a whole batch of images in one compiled step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from activation_atlas.stages.vision.batching import repeated
from activation_atlas.stages.vision.featurevis.image_param import Spectrum, cosine_image, start
from activation_atlas.stages.vision.featurevis.objectives import Objective, direction, tap_of
from activation_atlas.stages.vision.featurevis.transforms import GREY, Jitter, affine


@dataclass(frozen=True)
class Recipe:
    """Everything an icon depends on besides its model and its direction.

    Attributes:
        size: side of the icon, pixels.
        frame: height and width of the grey canvas with the icon in its middle, which the model sees.
        steps: of Adam.
        learning_rate: at the first step; it falls to zero along half a cosine, so that the picture settles.
        tap: which activations are asked, see :func:`~stages.vision.featurevis.objectives.tap_of`.
        power: of the cosine in the objective.
        through: whether a ReLU that ends the layer lets gradients through where it is 0 or capped.
        spectrum, jitter: see their modules.
    """

    size: int = 96
    frame: tuple[int, int] = (128, 128)
    steps: int = 256
    learning_rate: float = 0.05
    tap: str = "centre"
    power: float = 4.0
    through: bool = False
    spectrum: Spectrum = field(default_factory=Spectrum)
    jitter: Jitter = field(default_factory=Jitter)

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * step / self.steps))


def graph_compiler(function: Callable, *signature: tf.TensorSpec) -> Callable:
    """The compiler used where no better one is given."""
    return tf.function(function, input_signature=signature, autograph=False)


BATCH = 16
"""Images are computed in multiples of this. Small matrices are summed in another order than large ones, so the
bytes of a single image would differ from those of the same image in a batch; from 16 rows on they do not."""


class Adam:
    """A tensor and its two running moments, moved in place by one fused operation a step (Kingma & Ba 2015)."""

    FIRST, SECOND, EPSILON = 0.9, 0.999, 1e-8

    def __init__(self, begin: np.ndarray) -> None:
        self._value = tf.Variable(begin, trainable=False)
        self._first, self._second = (tf.Variable(tf.zeros_like(begin), trainable=False) for _ in range(2))
        self._steps = 0

    @property
    def value(self) -> tf.Tensor:
        return self._value.value()

    def ascend(self, slope: tf.Tensor, rate: float) -> None:
        """One step of size ``rate`` uphill."""
        self._steps += 1
        tf.raw_ops.ResourceApplyAdam(
            var=self._value.handle,
            m=self._first.handle,
            v=self._second.handle,
            beta1_power=self.FIRST**self._steps,
            beta2_power=self.SECOND**self._steps,
            lr=-rate,
            beta1=self.FIRST,
            beta2=self.SECOND,
            epsilon=self.EPSILON,
            grad=slope,
        )


class ActivationMaximization:
    """One model, one layer, one recipe: directions in, icons out (Erhan et al. 2009; Olah et al. 2017).

    ``climb`` is :meth:`slope`, compiled.

    Args:
        respond: (n, frame height, width, c) in [0, 1] -> the layer's maps (n, H, W, C); traceable.
        colour: (c, c), see :func:`~stages.vision.featurevis.image_param.cosine_image`.
        channels: C.
        cropped: as ``respond``, but maps of which only what is tapped need be right; what is climbed.
        compiler: ``(function, *signature) -> callable``, e.g. one that freezes the model's weights.
    """

    def __init__(
        self,
        respond: Callable[[tf.Tensor], tf.Tensor],
        colour: np.ndarray,
        channels: int,
        recipe: Recipe,
        compiler: Callable[..., Callable] = graph_compiler,
        cropped: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        self.recipe, self.colours = recipe, len(colour)
        self.respond, self.cropped, self.tap = respond, cropped or respond, tap_of(recipe.tap)
        self.objective: Objective = direction(recipe.power)
        self.image = cosine_image(recipe.size, colour, recipe.spectrum)
        self.transform = affine(recipe.size, recipe.frame)
        waves = recipe.spectrum.waves(recipe.size)
        coefficients = tf.TensorSpec((None, self.colours, waves, waves), tf.float32)
        vectors = tf.TensorSpec((None, channels), tf.float32)
        framed = tf.TensorSpec((None, *recipe.frame, self.colours), tf.float32)
        self.climb = compiler(self.slope, coefficients, vectors, tf.TensorSpec((2, 3), tf.float32))
        self._measure = compiler(self._answer, framed, vectors)
        self._finish = compiler(self.image, coefficients)

    def value(self, coefficients: tf.Tensor, directions: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """The objective of each image (n,) as seen through ``matrix``."""
        seen = self.framed(self.image(coefficients), matrix)
        return self.objective(self.tap(self.cropped(seen)), directions)

    def framed(self, pixels: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """Pixels (n, c, size, size) -> what the model is shown (n, frame height, width, c), in [0, 1]."""
        (height, width), size, c = self.recipe.frame, self.recipe.size, self.colours
        n = tf.shape(pixels)[0]
        columns = tf.transpose(tf.reshape(pixels, (n, c, size * size)), (2, 0, 1))
        seen = self.transform(tf.reshape(columns, (size * size, n * c)), matrix)
        seen = tf.transpose(tf.reshape(seen, (height * width, n, c)), (1, 0, 2))
        return tf.reshape(seen, (n, height, width, c))

    def slope(self, coefficients: tf.Tensor, directions: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """Gradient of the summed :meth:`value` with respect to the coefficients."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(coefficients)
            value = tf.reduce_sum(self.value(coefficients, directions, matrix))
        return tape.gradient(value, coefficients)

    def _answer(self, images, directions):
        activations = self.tap(self.respond(images))
        return activations, self.objective(activations, directions)

    def draw(self, directions: np.ndarray, seeds: Sequence[tuple[int, ...]], seed: int) -> np.ndarray:
        """Icons uint8 (n, size, size, c) for unit directions (n, C).

        An icon depends on its own direction, its own ``seeds`` entry (its start) and
        ``seed`` (the views of every step), not on its companions.
        """
        recipe = self.recipe
        begin = [start(s, recipe.size, self.colours, recipe.spectrum) for s in seeds]
        drawn = Adam(repeated(np.stack(begin), BATCH))
        towards = tf.constant(repeated(directions, BATCH), tf.float32)
        for step in range(recipe.steps):
            matrix = tf.constant(recipe.jitter.matrix(seed, step))
            drawn.ascend(self.climb(drawn.value, towards, matrix), recipe.rate(step))
        pixels = self._finish(drawn.value).numpy()[: len(seeds)].transpose(0, 2, 3, 1)
        return np.rint(pixels * 255).astype(np.uint8)

    def answer(self, icons: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the layer answers to stored icons, framed and seen straight on: activations (n, C), objective (n,)."""
        framed = np.full((len(icons), *self.recipe.frame, self.colours), GREY, np.float32)
        top, left = ((side - self.recipe.size) // 2 for side in self.recipe.frame)
        framed[:, top : top + self.recipe.size, left : left + self.recipe.size] = icons.astype(np.float32) / 255
        framed, towards = (repeated(rows, BATCH) for rows in (framed, directions))
        activations, value = self._measure(tf.constant(framed), tf.constant(towards, tf.float32))
        return activations.numpy()[: len(icons)], value.numpy()[: len(icons)]
