"""Maps averaged over noisy copies of the image: the smooth form of the randomisation check.

What is noise in a map, as much of a gradient is, correlates with nothing: it counts as forgotten although the model
still knew. The mean over noisy copies of the image has less of it (Hedström, Weber, Bareeva, Motzkus, Samek, Lapuschkin
& Höhne 2024, sMPRT). It is taken of the model's own maps and of the shuffled model's, over the same copies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from activation_atlas.stages.vision.attribution.methods import Explain

NOISE = 0.1
"""Standard deviation of the noise, as a share of the image's range of values; of the paper's networks on ImageNet."""

_SALT = 0x5307  # keeps these draws apart from those of the methods and of the random maps


def copies(pixels: np.ndarray, image_id: str, seed: int, count: int) -> Iterator[np.ndarray]:
    """The image itself, then ``count`` - 1 copies with Gaussian noise: images too, so rounded and cut to 0 and 255.

    Args:
        pixels: uint8 (h, w, c).

    Yields:
        uint8 (h, w, c); they depend on the seed and the image's id alone.
    """
    yield pixels
    rng = np.random.default_rng([seed, int(image_id, 16), _SALT])
    deviation = NOISE * float(np.ptp(pixels))
    for _ in range(count - 1):
        noisy = pixels + deviation * rng.standard_normal(pixels.shape)
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def averaged(
    explain: Explain, pixels: Mapping[str, np.ndarray], targets: Mapping[str, int], seed: int, count: int, batch: int
) -> dict[str, np.ndarray]:
    """Image id to the mean of its maps over :func:`copies`, float32 (height, width); raw, as the method's maps are.

    Random masks, segments and the like are those of the image's own map, for every copy.

    Args:
        explain: for one target of each image, and at most ``batch`` images at a time.
    """
    jobs = ((i, copy) for i, image in pixels.items() for copy in copies(image, i, seed, count))
    sums: dict[str, np.ndarray] = {}
    while group := list(islice(jobs, batch)):
        ids, images = [i for i, _ in group], np.stack([copy for _, copy in group])
        values = explain(images, np.array([[targets[i]] for i in ids], np.int32), ids).values[:, 0]
        for i, value in zip(ids, values, strict=True):
            sums[i] = sums.get(i, 0.0) + value.astype(np.float64)
    return {i: (total / count).astype(np.float32) for i, total in sums.items()}
