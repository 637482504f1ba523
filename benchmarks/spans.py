"""Answers found by a bare `recipe.fit(data)`, compared with the Trainer of transformers.

    python benchmarks/spans.py --data FILE --preset FOLDER --out FILE.json

`--data` is a file in SQuAD's format. A quarter of its articles is the test part. Both ways get the same
questions and the same weights. kft splits its validation data off them; the Trainer trains on all of
them, like transformers' own example for questions (`run_qa.py`): batches of 12, 3e-5, pieces of 384
tokens that overlap by 128. The example trains for 2 epochs on SQuAD's 88,000 questions; `--epochs` sets
more for a smaller set. Results that `--out` already contains are kept, so an interrupted command resumes
when it is run again.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

COLUMNS = {"trainer": "Hugging Face's `Trainer`", "kft": "`recipe.fit(data)`"}
LONGEST, STRIDE, TOKENS = 30, 128, 384


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--preset", required=True, help="MiniLM-L6, or another BERT")
    parser.add_argument("--ways", choices=COLUMNS, nargs="+", default=list(COLUMNS))
    parser.add_argument("--epochs", type=int, default=3, help="of the Trainer")
    parser.add_argument("--limit", type=int, help="train and test on so many questions at most")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cells = json.loads(options.out.read_text())["details"] if options.out.is_file() else {}
    train, test = read(options)
    for seed in range(options.seeds):
        for way in options.ways:
            epochs = f", {options.epochs} epochs" if way == "trainer" else ""
            if (key := f"seed {seed}, {way}{epochs}") not in cells:
                measured = WAYS[way](options, train, test, seed)
                cells[key] = {"seed": seed, "way": f"{COLUMNS[way]}{epochs}", **measured}
                print(key, cells[key], flush=True)
                write(options, cells, train, test)
    write(options, cells, train, test)


def new_recipe(preset: str, seed: int) -> Any:
    from kft.tasks import Spans
    from recipes import BertRecipe

    return BertRecipe(preset, task=Spans(), seed=seed)


def read(options: argparse.Namespace) -> tuple[Any, Any]:
    """Return training and test questions from different articles."""
    articles = json.loads(options.data.read_text(encoding="utf-8"))["data"]
    order = np.random.default_rng(0).permutation(len(articles))
    cut = len(articles) // 4
    recipe, found = new_recipe(options.preset, 0), []
    with tempfile.TemporaryDirectory() as folder:
        for name, chosen in (("train", order[cut:]), ("test", order[:cut])):
            path = Path(folder, f"{name}.json")
            path.write_text(json.dumps({"data": [articles[at] for at in chosen]}))
            found.append(recipe.read(path))
    return tuple(one if not options.limit else one.take(np.arange(len(one))[: options.limit])
                 for one in found)  # fmt: skip


def with_kft(options: argparse.Namespace, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """Fine-tune with kft's defaults."""
    recipe = new_recipe(options.preset, seed)
    started = time.perf_counter()
    run = recipe.fit(train, seed=seed, verbose=0)
    seconds = time.perf_counter() - started
    found = recipe.evaluate(test).figures
    return {
        "seconds": seconds,
        "kept_stage": run.journal["best"]["stage"],
        "exact": float(found["exact"]),
        "f1": float(found["f1"]),
    }


def with_trainer(options: argparse.Namespace, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """Fine-tune like transformers' example for questions."""
    import transformers

    from kft.tasks.answering.counting import best_scores
    from kft.tasks.answering.labels import answers_of, context_of

    transformers.utils.logging.set_verbosity_error()
    transformers.set_seed(seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(options.preset)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(options.preset)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, num_train_epochs=options.epochs, learning_rate=3e-5, seed=seed, use_cpu=True,
            per_device_train_batch_size=12, per_device_eval_batch_size=32, save_strategy="no",
            logging_strategy="no", report_to="none", disable_tqdm=True,
        )  # fmt: skip
        trainer = transformers.Trainer(
            model, arguments, train_dataset=pieces(train, tokenizer),
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
        )  # fmt: skip
        trainer.train()
        seconds = time.perf_counter() - started
        rows = pieces(test, tokenizer)
        starts, ends = trainer.predict(rows).predictions
    best: dict[int, tuple[float, str]] = {}
    for row, start, end in zip(rows, starts, ends, strict=True):
        score, text = best_answer(row, start, end)
        if score > best.get(row.question, (-np.inf, ""))[0]:
            best[row.question] = score, text
    scores = [
        best_scores(best[at][1], answers_of(row, context_of(text)))
        for at, (text, row) in enumerate(zip(test.inputs, test.targets, strict=True))
    ]
    exact, f1 = np.mean(scores, axis=0)
    return {"seconds": seconds, "exact": float(exact), "f1": float(f1)}


class Row(dict):
    """The model's inputs for a piece of a context, with the context and the places of its tokens."""

    question: int
    context: str
    places: list[tuple[int, int] | None]  # of each token, in characters; None outside the context


def pieces(examples: Any, tokenizer: Any) -> list[Row]:
    """Return the pieces of contexts with their questions; without the whole answer, one has none."""
    rows = []
    for number, (text, target) in enumerate(zip(examples.inputs, examples.targets, strict=True)):
        question, _, context = text.partition("\n")
        first, last = (len(context.encode()[:at].decode()) for at in target[0])
        encoded = tokenizer(
            question, context, truncation="only_second", max_length=TOKENS, stride=STRIDE,
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        for piece, offsets in enumerate(encoded["offset_mapping"]):
            row = Row({name: encoded[name][piece] for name in tokenizer.model_input_names})
            inside = [part == 1 for part in encoded.sequence_ids(piece)]
            row.question, row.context = number, context
            row.places = [at if is_in else None for at, is_in in zip(offsets, inside, strict=True)]
            starts = [n for n, at in enumerate(row.places) if at and at[0] <= first < at[1]]
            ends = [n for n, at in enumerate(row.places) if at and at[0] < last <= at[1]]
            there = bool(starts and ends)
            row["start_positions"] = starts[0] if there else 0
            row["end_positions"] = ends[0] if there else 0
            rows.append(row)
    return rows


def best_answer(row: Row, start: Any, end: Any) -> tuple[float, str]:
    """Return the best answer from the 20 best starts to the 20 best ends, with its score."""
    start, end = (one[: len(row.places)] for one in (start, end))  # without padding
    best, said = -np.inf, ""
    for first in np.argsort(start)[: -20 - 1 : -1]:
        for last in np.argsort(end)[: -20 - 1 : -1]:
            if not first <= last < first + LONGEST:
                continue
            if row.places[first] is None or row.places[last] is None:
                continue
            if start[first] + end[last] > best:
                best = float(start[first] + end[last])
                said = row.context[row.places[first][0] : row.places[last][1]]
    return best, said


def write(options: argparse.Namespace, cells: dict[str, Any], train: Any, test: Any) -> None:
    import keras
    from figures import result

    ways = list(dict.fromkeys(cell["way"] for cell in cells.values()))
    backend = keras.backend.backend()
    flags = "".join(
        f" --{name} {value}"
        for name, value, usual in (
            ("epochs", options.epochs, 3),
            ("limit", options.limit, None),
            ("seeds", options.seeds, 1),
        )
        if value != usual
    )
    outcome = result(
        "spans",
        command=f"KERAS_BACKEND={backend} python benchmarks/spans.py --data {options.data.name} "
        f"--preset {Path(options.preset).name}{flags}",
        columns=("questions", "", "exact match", "F1"),
        rows=[
            (
                options.data.name,
                way,
                mean(cells, way, "exact", len(test)),
                mean(cells, way, "f1", len(test)),
            )
            for way in ways
        ],
        notes=[
            f"{len(train):,} questions to train, {len(test):,} about other articles to test. The "
            "standard errors are those of so many test questions."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


def mean(cells: dict[str, Any], way: str, figure: str, tests: int) -> str:
    """Return the mean over the seeds, and the standard error of a fraction of `tests` questions."""
    value = float(np.mean([cell[figure] for cell in cells.values() if cell["way"] == way]))
    return f"{value:.3f} ± {(value * (1 - value) / tests) ** 0.5:.3f}"


WAYS = {"trainer": with_trainer, "kft": with_kft}

if __name__ == "__main__":
    main()
