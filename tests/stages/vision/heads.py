"""Tiny networks that differ in what lies between the layer `seen` and the logits: a zoo."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers, ops

SIZE, CHANNELS, CLASSES = 8, 4, 3

Head = Callable[[keras.KerasTensor], keras.KerasTensor]


def network(name: str) -> Callable[[], keras.Model]:
    """A builder for :func:`small_models.build`."""

    def build() -> keras.Model:
        image = keras.Input((SIZE, SIZE, 3))
        x = layers.Rescaling(1 / 127.5, -1)(image)
        x = layers.Conv2D(CHANNELS, 3, padding="same", activation="tanh", name="seen")(x)
        return keras.Model(image, layers.Dense(CLASSES, name="logits")(layers.Flatten()(HEADS[name](x))))

    return build


def _pooled(x: keras.KerasTensor) -> keras.KerasTensor:
    """A convolution with a bend, then the mean over positions."""
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    return layers.GlobalAveragePooling2D()(x)


def _maps(*through: Callable) -> Head:
    """Layers or operations on maps, then a convolution: nothing is merely summed."""

    def head(x: keras.KerasTensor) -> keras.KerasTensor:
        for operation in through:
            x = operation(x)
        return _pooled(x)

    return head


def _rows(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Reshape((SIZE * SIZE, CHANNELS))(x)


def _sequence(*through: Callable) -> Head:
    """Layers on positions one after another."""

    def head(x: keras.KerasTensor) -> keras.KerasTensor:
        x = _rows(x)
        for operation in through:
            x = operation(x)
        return x

    return head


def _resized(method: str, size: tuple[int, int] = (12, 20), **options: bool) -> Head:
    return _maps(lambda x: ops.image.resize(x, size, interpolation=method, **options))


def _attention(x: keras.KerasTensor) -> keras.KerasTensor:
    x = _rows(x)
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(layers.MultiHeadAttention(2, 3)(x, x) + x))


def _affine(x: keras.KerasTensor) -> keras.KerasTensor:
    turn = ops.convert_to_tensor([[1.0, 0.1, 0.5, 0.0, 0.9, 0.2, 0.0, 0.0]])
    return ops.image.affine_transform(x, turn, interpolation="bilinear")


def _shuffled(x: keras.KerasTensor) -> keras.KerasTensor:
    """Depth to space."""
    x = ops.transpose(ops.reshape(x, (-1, SIZE, SIZE, 2, 2, 1)), (0, 1, 3, 2, 4, 5))
    return ops.reshape(x, (-1, 2 * SIZE, 2 * SIZE, 1))


HEADS: dict[str, Head] = {
    # resized, cut, turned
    "pooling": _pooled,
    "upsampling nearest": _maps(layers.UpSampling2D(2)),
    "upsampling bilinear": _maps(layers.UpSampling2D(2, interpolation="bilinear")),
    "upsampling bicubic": _maps(layers.UpSampling2D(2, interpolation="bicubic")),
    "upsampling lanczos3": _maps(layers.UpSampling2D(2, interpolation="lanczos3")),
    "bilinear alone": lambda x: layers.GlobalAveragePooling2D()(layers.UpSampling2D(3, interpolation="bilinear")(x)),
    "resizing": _maps(layers.Resizing(5, 11)),
    "resizing, cropped": _maps(layers.Resizing(5, 11, crop_to_aspect_ratio=True)),
    "resizing, padded": _maps(layers.Resizing(5, 11, pad_to_aspect_ratio=True, fill_value=2.0)),
    "resizing, antialiased": _maps(layers.Resizing(5, 5, antialias=True)),
    "resize bilinear": _resized("bilinear"),
    "resize nearest": _resized("nearest"),
    "resize bicubic": _resized("bicubic"),
    "resize lanczos5": _resized("lanczos5"),
    "crop by index": _maps(lambda x: x[:, 1:5, 2:7]),
    "every other, turned over": _maps(lambda x: x[:, ::-2, 1::2]),
    "one position": lambda x: x[:, 3, 4],
    "some channels": _maps(lambda x: x[..., 1:3]),
    "take": _maps(lambda x: ops.take(x, [1, 5, 2, 2], axis=1)),
    "take along": lambda x: ops.mean(ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1)[:, 2:4], (1, 2)),
    "center crop": _maps(layers.CenterCrop(4, 6)),
    "center crop, enlarged": _maps(layers.CenterCrop(12, 10)),
    "random layers": _maps(layers.RandomTranslation(0.2, 0.2), layers.RandomContrast(0.3), layers.RandomZoom(0.2)),
    "random crop": _maps(layers.RandomCrop(6, 5)),
    "random crop, enlarged": _maps(layers.RandomCrop(12, 11)),
    "dropouts": _maps(layers.SpatialDropout2D(0.5), layers.Dropout(0.5), layers.GaussianNoise(1.0)),
    "pad reflect": _maps(lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="reflect")),
    "pad symmetric": _maps(lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0)), mode="symmetric")),
    "repeat, tile": _maps(lambda x: ops.repeat(x, 2, axis=1), lambda x: ops.tile(x, (1, 1, 2, 1))),
    "stack, split": lambda x: _pooled(ops.concatenate(ops.split(ops.stack([x, -x], 1)[:, 1], 2, axis=2), -1)),
    "transposed axes": _maps(lambda x: ops.transpose(x, (0, 2, 1, 3)), layers.Permute((2, 1, 3))),
    "depth to space": _maps(_shuffled),
    "patches": lambda x: _pooled(ops.image.extract_patches(x[..., :3], (2, 2), strides=(2, 2))),
    "affine transform": _maps(_affine),
    "gaussian blur": _maps(lambda x: ops.image.gaussian_blur(x, (3, 3), (1.0, 1.0))),
    # convolutions, poolings, norms
    "transposed convolution": _maps(layers.Conv2DTranspose(5, 3, strides=2, activation="relu")),
    "groups": _maps(layers.Conv2D(4, 3, groups=2, activation="relu")),
    "dilated": _maps(layers.Conv2D(4, 3, dilation_rate=2, activation="relu")),
    "strided, not square": _maps(layers.Conv2D(4, (3, 2), strides=(2, 1), activation="relu")),
    "depthwise": _maps(layers.DepthwiseConv2D(3, strides=2), layers.DepthwiseConv2D(2, dilation_rate=2)),
    "group norm": _maps(layers.GroupNormalization(2)),
    "layer norm": _maps(layers.LayerNormalization()),
    "norm over everything": _maps(layers.LayerNormalization(axis=(1, 2, 3))),
    "unit norm": _maps(layers.UnitNormalization()),
    "largest": layers.GlobalMaxPooling2D(),
    "largest of few": _maps(layers.MaxPooling2D(3, 2, padding="same")),
    "adaptive means": lambda x: layers.Flatten()(layers.AdaptiveAveragePooling2D((3, 2))(x)),
    "adaptive largest": lambda x: layers.Flatten()(layers.AdaptiveMaxPooling2D((3, 2))(x)),
    # positions that look at one another
    "attention": _attention,
    "einsum": lambda x: ops.einsum("nhwc,nhwd->ncd", x, ops.tanh(x))[:, :, 0],
    "einsum dense": _maps(layers.EinsumDense("abcd,de->abce", output_shape=(None, None, 5), activation="gelu")),
    "matmul": lambda x: ops.mean(ops.matmul(_rows(x), ops.transpose(_rows(x), (0, 2, 1)))[:, :, :5], 1),
    "bilinear pooling": lambda x: layers.Flatten()(ops.einsum("npc,npd->ncd", _rows(x), _rows(x))),
    "softmax over positions": lambda x: ops.sum(layers.Softmax(axis=1)(_rows(x)) * _rows(x), 1),
    "dot": lambda x: layers.Dot(1)([_rows(layers.Minimum()([x, x * x])), _rows(x - ops.roll(x, 1, 1))])[:, 0],
    "sort": _sequence(lambda x: ops.mean(ops.sort(x, axis=1)[:, 40:], 1)),
    "top k": lambda x: ops.top_k(layers.Flatten()(x), 5)[0],
    "median": lambda x: ops.median(x, axis=(1, 2)),
    "log-sum-exp": lambda x: ops.logsumexp(x, axis=(1, 2)),
    "variance": lambda x: ops.concatenate([ops.var(x, (1, 2)), ops.std(x, (1, 2))], -1),
    "norm": lambda x: ops.norm(_rows(x), axis=1),
    "cumsum": _maps(lambda x: ops.cumsum(x, axis=1)),
    "cumprod": _maps(lambda x: ops.cumprod(1 + 0.1 * x, axis=2)),
    "spectrum": lambda x: ops.mean(ops.abs(ops.fft2((x[..., 0], 0 * x[..., 0]))[0]), 1),
    "lstm": _sequence(lambda x: x[:, ::8], layers.LSTM(5)),
    "lstm, unrolled": _sequence(lambda x: x[:, :3], layers.LSTM(5, unroll=True)),
    "gru": _sequence(lambda x: x[:, ::8], layers.GRU(5)),
    "both ways": _sequence(lambda x: x[:, ::8], layers.Bidirectional(layers.SimpleRNN(3))),
    "convolutional lstm": lambda x: _pooled(layers.ConvLSTM2D(3, 3)(layers.Reshape((2, 4, SIZE, CHANNELS))(x))),
    "time distributed": lambda x: ops.mean(layers.TimeDistributed(layers.Conv1D(5, 2, activation="relu"))(x), (1, 2)),
    # bends
    "clip": _maps(lambda x: ops.clip(x, -0.5, 0.7)),
    "a bend far away": lambda x: ops.clip(layers.GlobalAveragePooling2D()(x), -1e5, 1e5),
    "hard sigmoid": _maps(layers.Activation("hard_sigmoid"), layers.Activation("hard_silu")),
    "prelu": _maps(layers.PReLU(shared_axes=[1, 2]), layers.LeakyReLU(0.3)),
    "silu, glu": _maps(layers.Activation("silu"), lambda x: ops.glu(x, axis=-1)),
    "maxout": lambda x: _pooled(layers.Maximum()([x[..., :2], x[..., 2:]])),
    "where": _maps(lambda x: ops.where(x > 0.1, x * x, ops.sin(x))),
    "absolute, floor": _maps(lambda x: ops.abs(x) + ops.floor(4 * x)),
    "straight through": _maps(lambda x: x + ops.stop_gradient(ops.round(x) - x)),
    "erf, exp": _maps(lambda x: ops.erf(x) + ops.log1p(ops.exp(x))),
    "colours": lambda x: layers.GlobalAveragePooling2D()(ops.image.rgb_to_hsv(ops.sigmoid(x[..., :3]))),
    # no gradient, or none that is a number
    "sign": lambda x: layers.GlobalAveragePooling2D()(ops.sign(x)),
    "logarithm": lambda x: ops.log(layers.GlobalAveragePooling2D()(x)),
    "root of zero": lambda x: ops.sqrt(layers.GlobalAveragePooling2D()(ops.relu(x - 5))),
    "not a number": lambda x: layers.GlobalAveragePooling2D()(x) / 0.0 * 0.0,
    "resize area": _resized("area", (4, 4)),
    "argmax": lambda x: ops.cast(ops.argmax(_rows(x), axis=1), "float32"),
    "stopped": lambda x: ops.stop_gradient(layers.GlobalAveragePooling2D()(x)),
}

REFUSED = {"resize area": "resize", "argmax": "argmax", "stopped": "stop_gradient"}
"""Heads without a gradient, and the operation that the refusal names."""
UNCHECKED = {"root of zero", "not a number"}
"""Heads whose gradient is no number on noise, so that no forward way can be proven there."""
