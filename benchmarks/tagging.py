"""Entities found by a bare `recipe.fit(data)`, compared with the Trainer of transformers.

    python benchmarks/tagging.py --data FOLDER --preset FOLDER --out FILE.json

`--data` is a folder with `train` and `test`, as `.conll` or `.jsonl`. All ways get the same texts, the
same words and the same weights. kft splits its validation data off the texts; the Trainer and the
linear model train on all of them. The Trainer has the settings of transformers' own example for tokens
(`run_ner.py`): 3 epochs, batches of 8, 5e-5, labels on the first piece of each word. Results that `--out`
already contains are kept, so an interrupted command resumes when it is run again.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from figures import mean_and_error, result

COLUMNS = {
    "linear": "linear model",
    "trainer": "Hugging Face's `Trainer`",
    "kft": "`recipe.fit(data)`",
}
SEEDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", required=True, help="MiniLM-L6, or another BERT")
    parser.add_argument("--ways", choices=COLUMNS, nargs="+", default=list(COLUMNS))
    parser.add_argument("--texts", type=int, nargs="+", default=[0], help="training texts; 0: all")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="draws of texts")
    parser.add_argument("--most-tests", type=int, default=500, help="texts to compare on at most")
    parser.add_argument("--part", default="test", help="what is compared on; dev to choose rules")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cells = json.loads(options.out.read_text())["details"] if options.out.is_file() else {}
    pool, test = read(options)
    for count in options.texts:
        for seed in range(options.seeds):
            train = drawn(pool, count, seed)
            for way in options.ways:
                if (key := f"{len(train)} texts, seed {seed}, {way}") not in cells:
                    reached = WAYS[way](options.preset, train, test, seed)
                    cells[key] = {"texts": len(train), "seed": seed, "way": way, **reached}
                    print(key, cells[key], flush=True)
                    write(options, cells, len(test))
    write(options, cells, len(test))


def new_recipe(preset: str, seed: int) -> Any:
    from kft.tasks import Tagging
    from recipes import BertRecipe

    return BertRecipe(preset, task=Tagging(), seed=seed)


def read(options: argparse.Namespace) -> tuple[Any, Any]:
    """Return the pool from which training texts are drawn, and the test texts."""
    recipe = new_recipe(options.preset, 0)
    files = {path.stem: path for path in options.data.iterdir()}
    pool = recipe.read(files["train"])
    test = recipe.read(files[options.part], classes=pool.classes)
    return pool, drawn(test, min(options.most_tests, len(test)), 0)


def drawn(pool: Any, count: int, seed: int) -> Any:
    """Draw `count` texts, or shuffle all of them if it is 0."""
    import numpy as np

    chosen = np.random.default_rng(seed).permutation(len(pool))[: count or None]
    return pool.take(chosen)


def with_kft(preset: str, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """Fine-tune with kft's defaults."""
    recipe = new_recipe(preset, seed)
    started = time.perf_counter()
    run = recipe.fit(train, seed=seed, verbose=0)
    return {
        "seconds": time.perf_counter() - started,
        "kept_stage": run.journal["best"]["stage"],
        **figures(recipe.evaluate(test)),
    }


def with_linear(preset: str, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """Train a logistic regression on frozen features of words, with cross-validated regularization."""
    import kft

    recipe = new_recipe(preset, seed)
    started = time.perf_counter()
    recipe.fit(train, train, seed=seed, stages=[kft.Stage(0, solve=True)], verbose=0)
    return {"seconds": time.perf_counter() - started, **figures(recipe.evaluate(test))}


def with_trainer(preset: str, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """Fine-tune with the defaults of transformers' example for tokens."""
    import tempfile

    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(preset)
    model = transformers.AutoModelForTokenClassification.from_pretrained(
        preset, num_labels=len(train.classes)
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, num_train_epochs=3, learning_rate=5e-5, per_device_train_batch_size=8,
            per_device_eval_batch_size=32, seed=seed, use_cpu=True, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model, arguments, train_dataset=pieces(train, tokenizer),
            data_collator=transformers.DataCollatorForTokenClassification(tokenizer),
        )  # fmt: skip
        trainer.train()
        seconds = time.perf_counter() - started
        scores, labels, _ = trainer.predict(pieces(test, tokenizer))
    answers = [row.argmax(-1)[known >= 0] for row, known in zip(scores, labels, strict=True)]
    return {"seconds": seconds, **compared(answers, test)}


def pieces(examples: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """Return the tokens of texts split into words, with labels on the first piece of each word."""
    rows = []
    for text, row in zip(examples.inputs, examples.targets, strict=True):
        raw = text.encode()
        ends = [*row[1:, 0], len(raw)]
        words = [raw[a:b].decode().strip() for a, b in zip(row[:, 0], ends, strict=True)]
        encoded = tokenizer(words, is_split_into_words=True, truncation=True)
        numbers = encoded.word_ids()
        first = [n is not None and n != numbers[at - 1] for at, n in enumerate(numbers)]
        labels = [row[n, 1] if new else -100 for n, new in zip(numbers, first, strict=True)]
        rows.append({**encoded, "labels": [int(one) for one in labels]})
    return rows


def compared(answers: Any, examples: Any) -> dict[str, float]:
    """Return F1 over all entities, from the most probable tag of each word, as seqeval counts."""
    from kft.tasks.tags.scheme import scheme_of

    scheme = scheme_of(examples.classes, "the data")
    counts = [0, 0, 0]
    for answer, row in zip(answers, examples.targets, strict=True):
        tags = [examples.classes[n] for n in answer]
        tags += ["O"] * (len(row) - len(tags))  # words without a piece, or truncated
        found = set(scheme.spans(tags))
        true = set(scheme.spans([examples.classes[n] for n in row[:, 1]]))
        counts = [a + len(b) for a, b in zip(counts, (found, true, found & true), strict=True)]
    found, true, right = counts
    return {
        "f1": 2 * right / max(1, found + true),
        "precision": right / max(1, found),
        "recall": right / max(1, true),
    }


def figures(evaluation: Any) -> dict[str, float]:
    names = ("f1", "precision", "recall", "accuracy")
    return {name: float(evaluation.figures[name]) for name in names}


def write(options: argparse.Namespace, cells: dict[str, Any], tests: int) -> None:
    import keras

    ways = [way for way in COLUMNS if any(cell["way"] == way for cell in cells.values())]
    sizes = sorted({cell["texts"] for cell in cells.values()})
    seeds = len({cell["seed"] for cell in cells.values()})
    backend = keras.backend.backend()
    flags = "".join(
        f" --{name} {value}"
        for name, value, usual in (
            ("seeds", seeds, SEEDS),
            ("part", options.part, "test"),
            ("most-tests", options.most_tests, 500),
        )
        if value != usual
    )
    outcome = result(
        "tagging",
        command=f"KERAS_BACKEND={backend} python benchmarks/tagging.py --data {options.data.name} "
        f"--preset {Path(options.preset).name} --texts {' '.join(map(str, sizes))} "
        f"--ways {' '.join(ways)}{flags}",
        columns=("data", "training texts", "compared on", *(COLUMNS[way] for way in ways)),
        rows=[
            (
                options.data.name,
                f"{count:,}",
                f"{tests:,} texts of the {options.part} part",
                *(mean(cells, count, way, "f1") for way in ways),
            )
            for count in sizes
        ],
        notes=[
            "F1 of entities, the mean over draws of training texts and its standard error, or that of a "
            "single draw. A dash is not measured."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


def mean(cells: dict[str, Any], count: int, way: str, figure: str) -> str:
    """Return the mean over the draws, with its standard error."""
    found = [c[figure] for c in cells.values() if (c["texts"], c["way"]) == (count, way)]
    return mean_and_error(found)


WAYS = {"linear": with_linear, "trainer": with_trainer, "kft": with_kft}

if __name__ == "__main__":
    main()
