"""Trains a small robust classifier on a folder of class folders, such as the demo's.

``python -m activation_atlas.stages.vision.training TRAIN_FOLDER --out MODEL.keras --test FOLDER...``

The images are moved, turned, recoloured, blurred, made noisy and partly hidden
while it learns; with ``--attack`` they are then changed once more by the step
that hurts it most (adversarial training in one step of bounded L2 norm;
Goodfellow et al. 2015, Engstrom et al. 2019). A network that has to stand that
has features people recognise when they are drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

WIDTHS = (24, 40, 96, 112)

PATCH, WIDTH, HEADS, BLOCKS = 12, 96, 4, 4
"""Of the transformer: pixels along a side of a patch, numbers of a token, and so on."""


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """All images of a folder of class folders: uint8 (n, side, side, 3), class indices (n,), class names."""
    from PIL import Image

    classes = sorted(p.name for p in folder.iterdir() if p.is_dir())
    files = [(p, k) for k, name in enumerate(classes) for p in sorted((folder / name).iterdir())]
    images = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in files])
    return images, np.array([k for _, k in files], np.int32), classes


def residual(side: int, classes: int):
    """A residual network, [0, 255] in, probabilities out; ``mixed`` (side / 8, 96 channels) suits an atlas."""
    import keras
    from keras import layers

    def conv(x, name: str, filters: int, size: int = 3, stride: int = 1):
        decay = keras.regularizers.L2(2e-4)
        kernel = {"use_bias": False, "kernel_regularizer": decay, "name": name + "_conv"}
        x = layers.Conv2D(filters, size, stride, "same", **kernel)(x)
        return layers.BatchNormalization(momentum=0.95, name=name + "_norm")(x)

    def block(x, name: str, filters: int, inner: int):
        y = layers.ReLU(name=name + "_inner")(conv(x, name + "_1", inner))
        y = layers.Add(name=name + "_sum")([x, conv(y, name + "_2", filters)])
        return layers.ReLU(name=name)(y)

    edges, parts, mixed, scene = WIDTHS
    image = keras.Input((side, side, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1, name="range")(image)
    x = layers.ReLU(name="edges")(conv(x, "edges", edges, 5, 2))
    x = layers.ReLU(name="parts_in")(conv(x, "parts_in", parts, 3, 2))
    x = block(x, "parts", parts, parts)
    x = layers.ReLU(name="mixed_in")(conv(x, "mixed_in", mixed, 3, 2))
    x = block(x, "mixed", mixed, mixed)
    x = layers.ReLU(name="scene_in")(conv(x, "scene_in", scene, 3, 2))
    x = block(x, "scene", scene, scene // 2)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, seed=0, name="drop")(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="class")(x), name="scenes")


def transformer(
    side: int,
    classes: int,
    patch: int = PATCH,
    width: int = WIDTH,
    heads: int = HEADS,
    blocks: int = BLOCKS,
    name: str = "scenes_vit",
):
    """A vision transformer (Dosovitskiy et al. 2021) of Keras's own layers, [0, 255] in, probabilities out.

    Token 0 is the class token, which the head reads: it begins as zeros, so that its embedding is that of its place.
    """
    import keras
    from keras import layers, ops

    image = keras.Input((side, side, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1, name="range")(image)
    x = layers.Conv2D(width, patch, patch, name="patches")(x)
    x = layers.Reshape((-1, width), name="sequence")(x)
    x = ops.concatenate([ops.zeros_like(x[:, :1]), x], 1)
    place = ops.cumsum(ops.ones_like(x[:, :, 0]), 1) - 1
    x = layers.Add(name="tokens")([x, layers.Embedding(x.shape[1], width, name="place")(place)])
    for k in range(1, blocks + 1):
        y = layers.LayerNormalization(epsilon=1e-6, name=f"block{k}_norm1")(x)
        y = layers.MultiHeadAttention(heads, width // heads, name=f"block{k}_attention")(y, y)
        x = layers.Add(name=f"block{k}_mid")([x, y])
        y = layers.LayerNormalization(epsilon=1e-6, name=f"block{k}_norm2")(x)
        y = layers.Dense(2 * width, activation="gelu", name=f"block{k}_mlp1")(y)
        y = layers.Dense(width, name=f"block{k}_mlp2")(y)
        x = layers.Add(name=f"block{k}")([x, y])
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax", name="class")(x[:, 0]), name=name)


NETWORKS = {"residual": (residual, 3e-3), "transformer": (transformer, 1e-3)}
"""Builders ``(side, classes) -> model``, and the highest learning rate of each."""


def augmented(images, seed):
    """A batch in [0, 255], each image changed in its own way. ``seed``: int32 (2,)."""
    import tensorflow as tf

    n, side = tf.shape(images)[0], images.shape[1]
    draws = iter(range(100))

    def uniform(low: float, high: float, *shape: int):
        return tf.random.stateless_uniform((n, *shape), seed + [next(draws), 0], low, high)

    angle, scale = uniform(-0.22, 0.22), uniform(0.78, 1.25)
    cos, sin, half = tf.cos(angle) * scale, tf.sin(angle) * scale, side / 2
    dx, dy, zero = uniform(-side / 10, side / 10), uniform(-side / 10, side / 10), tf.zeros_like(cos)
    moves = [cos, -sin, half - half * cos + half * sin + dx, sin, cos, half - half * sin - half * cos + dy, zero, zero]
    x = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack(moves, 1),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    x += (tf.nn.avg_pool2d(x, 3, 1, "SAME") - x) * tf.nn.relu(uniform(-1, 1, 1, 1, 1))
    grey = tf.reduce_mean(x, -1, keepdims=True)
    x = grey + (x - grey) * uniform(0.6, 1.35, 1, 1, 1)
    x = (x - 118) * uniform(0.7, 1.3, 1, 1, 1) + 118 + uniform(-28, 28, 1, 1, 1) + uniform(-14, 14, 1, 1, 3)
    line = tf.range(side, dtype=tf.float32) + 0.5

    def within(middle, reach):
        return tf.cast(tf.abs(line[None] - middle[:, None]) < reach[:, None], tf.float32)

    across = within(uniform(0, side), uniform(side / 12, side / 2.8))
    down = within(uniform(0, side), uniform(side / 12, side / 2.8))
    hidden = down[:, :, None] * across[:, None, :] * tf.cast(uniform(0, 1, 1, 1) < 0.6, tf.float32)
    x += (uniform(0, 255, 1, 1, 3) - x) * hidden[..., None]
    x += tf.random.stateless_normal(tf.shape(x), seed + [99, 1]) * uniform(0, 20, 1, 1, 1)
    return tf.clip_by_value(x, 0, 255)


def train(
    images: np.ndarray,
    labels: np.ndarray,
    classes: int,
    epochs: int,
    batch: int,
    seed: int,
    attack: float = 0.0,
    network: str = "residual",
):
    """A fitted network: Adam, a rate that warms up and falls along a cosine, smoothed labels.

    Args:
        attack: the largest L2 norm of the adversarial step, images in [0, 1]; each image draws its own up to this.
        network: a name of NETWORKS.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    steps = len(images) // batch
    build, highest = NETWORKS[network]
    model = build(images.shape[1], classes)
    rate = keras.optimizers.schedules.CosineDecay(1e-4, (epochs - 1) * steps, warmup_target=highest, warmup_steps=steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)
    cross_entropy = keras.losses.CategoricalCrossentropy(label_smoothing=0.05)

    @tf.function
    def step(x, y, where):
        x, target = augmented(x, where), tf.one_hot(y, classes)
        if attack:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                hurt = cross_entropy(target, model(x, training=False))
            slope = tape.gradient(hurt, x)
            slope /= tf.sqrt(tf.reduce_sum(slope**2, (1, 2, 3), keepdims=True)) + 1e-20
            reach = tf.random.stateless_uniform((tf.shape(x)[0], 1, 1, 1), where + [98, 2], 0, 255 * attack)
            x = tf.clip_by_value(x + reach * slope, 0, 255)
        with tf.GradientTape() as tape:
            p = model(x, training=True)
            loss = cross_entropy(target, p) + sum(model.losses)
        weights = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss, tf.reduce_mean(tf.cast(tf.argmax(p, 1, tf.int32) == y, tf.float32))

    for epoch in range(epochs):
        order = np.random.default_rng([seed, epoch]).permutation(len(images))
        sums = np.zeros(2)
        for i in range(steps):
            rows = order[i * batch : (i + 1) * batch]
            where = tf.constant([epoch * 1000, i], tf.int32)
            sums += [float(v) for v in step(tf.constant(images[rows]), tf.constant(labels[rows]), where)]
        loss, right = sums / steps
        print(f"epoch {epoch + 1}/{epochs}: loss {loss:.3f}, accuracy on altered images {right:.3f}", flush=True)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m activation_atlas.stages.vision.training", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--test", type=Path, nargs="*", default=[], help="folders to state the accuracy on")
    parser.add_argument("--network", choices=NETWORKS, default="residual")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--attack", type=float, default=0.0, help="L2 norm of the adversarial step; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images, labels, classes = read(options.folder)
    print(f"{len(images)} images of {len(classes)} classes", flush=True)
    asked = options.epochs, options.batch, options.seed, options.attack, options.network
    model = train(images, labels, len(classes), *asked)
    model.save(options.out)
    options.out.with_name(options.out.stem + "_classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
    for folder in options.test:
        images, labels, _ = read(folder)
        called = model.predict(images, batch_size=64, verbose=0).argmax(1)
        shares = ", ".join(f"{c} {np.mean(called == k):.3f}" for k, c in enumerate(classes))
        print(f"{folder}: accuracy {np.mean(called == labels):.4f}; called {shares}")


if __name__ == "__main__":
    main()
