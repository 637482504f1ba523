"""Published ways to fine-tune, in plain Keras on a recipe's backbone.

Each way takes a new recipe, examples and a seed. It trains on all of the examples, as its authors
do, and returns a function from test examples to their targets and class probabilities.
"""

import math
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
from keras import layers, ops

Answers = Callable[[Any], tuple[Any, Any]]


def keras_guide(recipe: Any, train: Any, seed: int) -> Answers:
    """Train the head, then everything, as in https://keras.io/guides/transfer_learning/.

    Adam runs at 1e-3 for 20 epochs and at 1e-5 for 10, as in the guide's text; its example on 9,000
    images stops after 2 and 1. Dropout, augmentation and batches of 64 are the example's. BatchNorm
    stays in inference mode.
    """
    keras.utils.set_random_seed(seed)
    inputs, body = _image_body(recipe)
    body.trainable = False
    augmented = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    pooled = layers.GlobalAveragePooling2D()(body(augmented, training=False))
    logits = layers.Dense(recipe.num_classes)(layers.Dropout(0.2)(pooled))
    model = keras.Model(inputs, logits)
    x = recipe.load(train.inputs)
    for trainable, rate, epochs in ((False, 1e-3, 20), (True, 1e-5, 10)):
        body.trainable = trainable
        model.compile(keras.optimizers.Adam(rate), _crossentropy())
        model.fit(x, train.targets, batch_size=64, epochs=epochs, verbose=0)
    return _image_answers(recipe, model)


def fastai(recipe: Any, train: Any, seed: int) -> Answers:
    """Fine-tune like fastai's `vision_learner(...).fine_tune(4)`, https://docs.fast.ai/callback.schedule.html.

    The fastai book trains a few hundred photographs for 4 epochs after the frozen one
    (https://github.com/fastai/fastbook, 02_production); the quick start trains 6,000 for one. The
    head, the rates, weight decay and the BatchNorm layers, which always train, are fastai's
    defaults; as in the quick start, nothing is augmented. Adam's momentum stays at 0.9, while fastai
    varies it between 0.95 and 0.85.
    """
    keras.utils.set_random_seed(seed)
    inputs, body = _image_body(recipe)
    norms = [one for one in body.layers if isinstance(one, layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.9  # PyTorch's; Keras' MobileNetV2 would need thousands of steps to adapt
    maps = body(inputs)
    x = layers.Concatenate()(
        [layers.GlobalMaxPooling2D()(maps), layers.GlobalAveragePooling2D()(maps)]
    )
    x = layers.Dropout(0.25)(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    x = layers.Dense(512, "relu", use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.Dropout(0.5)(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    logits = layers.Dense(recipe.num_classes, use_bias=False, kernel_initializer="he_normal")(x)
    model = keras.Model(inputs, logits)
    x, batch_size = recipe.load(train.inputs), 64
    steps = math.ceil(len(train) / batch_size)

    def fit(epochs: int, rates: Any, body_share: float) -> None:
        of_body, of_head = (
            _adamw(rates * share, part.trainable_weights, epsilon=1e-5, beta_2=0.99)
            for part, share in ((body, body_share), (model, 1))
        )
        model.compile(_TwoRates(of_body, of_head, body), _crossentropy())
        model.fit(x, train.targets, batch_size=batch_size, epochs=epochs, verbose=0)

    for layer in body.layers:
        layer.trainable = layer in norms
    fit(1, _one_cycle(2e-3, steps, rising=0.99, div=25), 1 / 10)
    body.trainable = True
    fit(4, _one_cycle(1e-3, 4 * steps, rising=0.3, div=5), 1 / 100)
    return _image_answers(recipe, model)


def bit_hyperrule(recipe: Any, train: Any, seed: int) -> Answers:
    """Fine-tune by BiT's HyperRule for fewer than 20,000 examples (https://arxiv.org/abs/1912.11370).

    As in `bit_hyperrule.py` of https://github.com/google-research/big_transfer: 500 steps of SGD,
    batches of up to 512, a head that starts at zero, no weight decay, random flips, and random
    crops, which Keras takes at one place in all images of a batch. BiT has no BatchNorm; here its
    statistics stay those of the pretrained weights.
    """
    keras.utils.set_random_seed(seed)
    inputs, body = _image_body(recipe)
    pooled = layers.GlobalAveragePooling2D()(body(inputs, training=False))
    head = layers.Dense(recipe.num_classes, kernel_initializer="zeros")
    model = keras.Model(inputs, head(pooled))
    height, width = recipe.image_size
    larger = layers.Resizing(round(height * 512 / 480), round(width * 512 / 480))(inputs)
    augmented = layers.RandomFlip("horizontal")(layers.RandomCrop(height, width)(larger))
    trained = keras.Model(inputs, model(augmented))
    steps = np.arange(500)
    decays = np.sum(steps[:, None] > [200, 300, 400], axis=1)
    rates = 0.003 * np.minimum(steps / 100, 1) * 0.1**decays
    trained.compile(keras.optimizers.SGD(_RateByStep(rates), momentum=0.9), _crossentropy())
    rng, x = np.random.default_rng(seed), recipe.load(train.inputs)

    def batches() -> Iterator[tuple[Any, Any]]:
        while True:
            rows = rng.permutation(len(train))[:512]
            yield x[rows], train.targets[rows]

    trained.fit(batches(), steps_per_epoch=len(steps), shuffle=False, verbose=0)
    return _image_answers(recipe, model)


def trainer(recipe: Any, train: Any, seed: int) -> Answers:
    """Fine-tune with the defaults of Hugging Face's `Trainer` and `BertForSequenceClassification`.

    https://huggingface.co/docs/transformers/main_classes/trainer: 3 epochs in batches of 8, AdamW at
    5e-5 without decay of weights, the rate falling linearly to 0, gradients clipped to norm 1.
    """
    keras.utils.set_random_seed(seed)
    inputs = recipe.inputs()
    pooled = layers.Dropout(0.1)(recipe.backbone(inputs)["pooled_output"])
    normal = keras.initializers.RandomNormal(stddev=0.02)
    model = keras.Model(inputs, layers.Dense(recipe.num_classes, kernel_initializer=normal)(pooled))
    texts = _Texts(_tokens(recipe, train), [np.arange(len(train))], train.targets, 8, seed)
    rates = np.linspace(5e-5, 0, 3 * len(texts), endpoint=False)
    adam = keras.optimizers.Adam(_RateByStep(rates), epsilon=1e-8, global_clipnorm=1.0)
    model.compile(adam, _crossentropy())
    model.fit(texts, epochs=3, verbose=0)
    return lambda test: (test.targets, _softmax(_of_texts(model, recipe, test)))


def setfit(recipe: Any, train: Any, seed: int) -> Answers:
    """Fine-tune with SetFit's defaults (https://huggingface.co/docs/setfit, https://arxiv.org/abs/2209.11055).

    One epoch over all pairs of texts, where pairs of one class are repeated to be as many as the
    others, towards a cosine of 1 or 0; then logistic regression on the embeddings, which MiniLM's
    sentence-transformers model scales to length 1.
    """
    from sklearn.linear_model import LogisticRegression

    keras.utils.set_random_seed(seed)
    inputs = recipe.inputs()
    pooled = recipe.features("vector", recipe.backbone(inputs), inputs)
    embed = keras.Model(inputs, layers.UnitNormalization()(pooled))
    others = {
        name: keras.Input(one.shape[1:], dtype=one.dtype, name=f"{name}_1")
        for name, one in inputs.items()
    }
    cosine = layers.Dot(1)([embed(inputs), embed(others)])
    model = keras.Model({**inputs, **{f"{name}_1": one for name, one in others.items()}}, cosine)
    first, second = np.triu_indices(len(train))
    same = train.targets[first] == train.targets[second]
    rng = np.random.default_rng(seed)
    kinds = [rng.permutation(np.flatnonzero(same == kind)) for kind in (True, False)]
    chosen = np.concatenate([np.resize(kind, max(map(len, kinds))) for kind in kinds])
    pairs = _Texts(
        _tokens(recipe, train),
        [first[chosen], second[chosen]],
        same[chosen].astype("float32"),
        16,
        seed,
    )
    warmup = math.ceil(0.1 * len(pairs))
    falling = np.linspace(2e-5, 0, len(pairs) - warmup, endpoint=False)
    rates = np.concatenate([np.linspace(0, 2e-5, warmup, endpoint=False), falling])
    adam = _adamw(rates, model.trainable_weights, epsilon=1e-8, global_clipnorm=1.0)
    model.compile(adam, "mean_squared_error")
    model.fit(pairs, verbose=0)
    head = LogisticRegression()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the solver may stop before it converges
        head.fit(_of_texts(embed, recipe, train), train.targets)
    return lambda test: (test.targets, head.predict_proba(_of_texts(embed, recipe, test)))


class _RateByStep(keras.optimizers.schedules.LearningRateSchedule):
    """The given rate of each step, and the last one after them."""

    def __init__(self, rates: Any) -> None:
        self.rates = np.asarray(rates, "float32")

    def __call__(self, step: Any) -> Any:
        return ops.take(self.rates, ops.minimum(ops.cast(step, "int32"), len(self.rates) - 1))


class _TwoRates(keras.optimizers.Optimizer):
    """One optimizer for the variables of a body, another for the rest."""

    def __init__(self, of_body: Any, of_head: Any, body: keras.Model) -> None:
        super().__init__(learning_rate=0.0)  # unused: each part has its own rate
        self.parts = of_body, of_head
        # In a namespace, since Keras would track variables in attributes as the optimizer's own.
        self.seen = SimpleNamespace(body={id(one) for one in body.weights}, trained=[])

    @property
    def variables(self) -> list[Any]:
        return [*super().variables, *(one for part in self.parts for one in part.variables)]

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self.seen.trained = list(variables)
        for part, which in zip(self.parts, self._split(variables), strict=True):
            part.build([variables[index] for index in which])

    def apply(self, grads: list[Any], trainable_variables: Any = None) -> None:
        variables = list(trainable_variables or self.seen.trained)
        for part, which in zip(self.parts, self._split(variables), strict=True):
            part.apply([grads[index] for index in which], [variables[index] for index in which])
        self.iterations.assign_add(1)

    def _split(self, variables: list[Any]) -> tuple[list[int], list[int]]:
        inside = [index for index, one in enumerate(variables) if id(one) in self.seen.body]
        return inside, [index for index in range(len(variables)) if index not in inside]


class _Texts(keras.utils.PyDataset):
    """Shuffled batches of texts or pairs of texts, each padded to its longest."""

    def __init__(
        self, tokens: dict, rows: list[Any], targets: Any, batch_size: int, seed: int | None
    ):
        super().__init__()
        self.tokens, self.rows, self.targets, self.batch_size = tokens, rows, targets, batch_size
        self.rng = None if seed is None else np.random.default_rng(seed)
        self.order = np.arange(len(targets))
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch_size)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any]:
        batch = self.order[index * self.batch_size :][: self.batch_size]
        x: dict[str, Any] = {}
        for place, rows in enumerate(self.rows):
            texts = {name: one[rows[batch]] for name, one in self.tokens.items()}
            longest = int(texts["padding_mask"].sum(axis=1).max())
            length = 8 * math.ceil(longest / 8)  # each length is compiled
            x |= {
                f"{name}_{place}" if place else name: one[:, :length] for name, one in texts.items()
            }
        return x, self.targets[batch]

    def on_epoch_end(self) -> None:
        if self.rng is not None:
            self.order = self.rng.permutation(self.order)


def _image_body(recipe: Any) -> tuple[Any, keras.Model]:
    inputs = recipe.inputs()
    return inputs, keras.Model(inputs, recipe.backbone(inputs))


def _image_answers(recipe: Any, model: keras.Model) -> Answers:
    return lambda test: (test.targets, _softmax(model.predict(recipe.load(test.inputs), verbose=0)))


def _tokens(recipe: Any, examples: Any) -> dict[str, Any]:
    return recipe.load(list(examples.inputs))


def _of_texts(model: keras.Model, recipe: Any, examples: Any) -> Any:
    rows = np.arange(len(examples))
    return model.predict(
        _Texts(_tokens(recipe, examples), [rows], examples.targets, 32, None), verbose=0
    )


def _one_cycle(peak: float, steps: int, *, rising: float, div: float) -> Any:
    """Return the rates of fastai's `fit_one_cycle`, from `peak / div` to `peak` and down to almost 0."""
    done = np.arange(steps) / steps
    up = (1 - np.cos(np.pi * np.minimum(done / rising, 1))) / 2
    down = (1 - np.cos(np.pi * np.maximum(done - rising, 0) / (1 - rising))) / 2
    return peak / div + up * (peak - peak / div) + down * (peak / 1e5 - peak)


def _adamw(rates: Any, variables: list[Any], **settings: Any) -> keras.optimizers.Optimizer:
    """Return Adam with a decoupled weight decay of 0.01 that excludes biases and norms."""
    vectors = [one for one in variables if len(one.shape) < 2]
    decay = 0.01 if len(vectors) < len(variables) else None  # Keras fails on PyTorch if none decays
    adam = keras.optimizers.Adam(_RateByStep(rates), weight_decay=decay, **settings)
    adam.exclude_from_weight_decay(var_list=vectors)
    return adam


def _crossentropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _softmax(logits: Any) -> Any:
    return ops.convert_to_numpy(ops.softmax(ops.convert_to_tensor(logits)))
