"""The speed of BertRecipe compared with Hugging Face's Trainer, on the same MiniLM and texts.

    python benchmarks/speed_text.py --data FOLDER --preset FOLDER --stage all:2:1e-4 [--limit 2000]
    python benchmarks/speed_text.py --data FOLDER --preset FOLDER --stage 0:3:3e-3 --stage 2:3:3e-4

Needs transformers and accelerate besides kft's test extra. The Trainer pads each batch to its longest
text and groups texts of similar length; each stage of a plan is a Trainer run with the same parameters
frozen as in kft. Both use AdamW, batches of 32 and the same rates, and validate after each epoch. The
clock runs from the texts to the end of training, including tokenization.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from turns import add_text_arguments, in_turns, table, turns_parser

PEER = "Trainer, torch"
WAYS = {
    PEER: {"KERAS_BACKEND": "torch"},
    "kft, torch": {"KERAS_BACKEND": "torch"},
    "kft, jax": {"KERAS_BACKEND": "jax"},
    "kft, tensorflow": {"KERAS_BACKEND": "tensorflow"},
}


def main() -> None:
    parser = turns_parser(__doc__)
    add_text_arguments(parser)
    parser.add_argument(
        "--stage", action="append", required=True, metavar="UNFREEZE:EPOCHS:RATE", dest="stages"
    )
    parser.add_argument("--only", action="append", choices=list(WAYS)[1:], help="only these of kft")
    options = parser.parse_args()
    if not Path(options.data, "train.tsv").is_file():
        sys.exit(f"{options.data} has no train.tsv: pass the folder that holds it as --data.")
    if options.way is not None:
        print(json.dumps(one_way(options)))
        return

    from figures import publish, result

    chosen = {way: WAYS[way] for way in WAYS if way in (PEER, *(options.only or WAYS))}
    outcomes = in_turns(chosen, options.rounds)
    columns, rows = table(outcomes, PEER)
    folder = Path(options.data).name
    label = f"{folder}, {', '.join(options.stages)}"
    command = f"python benchmarks/speed_text.py --data {folder} "
    command += f"--preset {Path(options.preset).name} --rounds {options.rounds} "
    command += " ".join(f"--stage {stage}" for stage in options.stages)
    command += "".join(f' --only "{way}"' for way in options.only or ())
    command += f" --limit {options.limit}" if options.limit else ""
    publish(
        result(
            "speed_text",
            command=command,
            columns=("texts, stages (blocks:epochs:rate)", *columns),
            rows=[(label, *row) for row in rows],
            notes=[
                "Medians over the rounds, with the least and the most; all ways in turns, in "
                "processes of their own. The Trainer of transformers on PyTorch."
            ],
            details=outcomes,
            backend="torch",
        ),
        options.out,
    )


def one_way(options: argparse.Namespace) -> dict[str, Any]:
    stages = [
        (unfreeze if unfreeze == "all" else int(unfreeze), int(epochs), float(rate))
        for unfreeze, epochs, rate in (text.split(":") for text in options.stages)
    ]
    folder = Path(options.data)
    train, validation, test = parts(folder, options.limit, options.seed)
    way = with_trainer if options.way == PEER else with_kft
    seconds, accuracy = way(options.preset, train, validation, test, stages, options.seed)
    return {"seconds": seconds, "accuracy": accuracy}


def parts(folder: Path, limit: int | None, seed: int) -> list[Any]:
    """Return training, validation and test texts as data frames with columns `label` and `text`."""
    import pandas as pd

    def read(name: str) -> Any:
        return pd.read_csv(folder / name, sep="\t", quoting=3, keep_default_na=False)

    train = read("train.tsv").sample(frac=1.0, random_state=seed)
    if (folder / "dev.tsv").is_file():
        validation = read("dev.tsv")
    else:
        cut = len(train) // 10
        validation, train = train[:cut], train[cut:]
    if limit:
        train, validation = train[:limit], validation[: limit // 5]
    return [train, validation, read("test.tsv")]


def with_kft(
    preset: str, train: Any, validation: Any, test: Any, stages: list, seed: int
) -> tuple[float, float]:
    from kft.stages.stage import Stage
    from recipes import BertRecipe

    staged = len(stages) > 1
    classes = sorted(map(str, set(train["label"])))
    recipe = BertRecipe(
        preset, num_classes=len(classes), backbone_dropout=0.0 if staged else 0.1, seed=seed
    )
    _ = recipe.model
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, frame in (("train", train), ("validation", validation), ("test", test)):
            files.append(Path(folder, f"{name}.tsv"))
            frame.to_csv(
                files[-1], sep="\t", index=False, quoting=3, quotechar=None, escapechar="\\"
            )
        started = time.perf_counter()
        recipe.fit(
            files[0], files[1], stages=[Stage(*stage) for stage in stages], early_stopping=None,
            seed=seed, verbose=0,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        return seconds, recipe.evaluate(files[2]).accuracy


def with_trainer(
    preset: str, train: Any, validation: Any, test: Any, stages: list, seed: int
) -> tuple[float, float]:
    import numpy as np
    import torch
    import transformers

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    transformers.utils.logging.set_verbosity_error()
    transformers.set_seed(seed)
    classes = sorted(set(train["label"]), key=str)
    tokenizer = transformers.AutoTokenizer.from_pretrained(preset)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        preset, num_labels=len(classes)
    )

    class Texts(torch.utils.data.Dataset):
        def __init__(self, frame: Any) -> None:
            self.encoded = tokenizer(list(frame["text"]), truncation=True, max_length=128)
            self.labels = [classes.index(label) for label in frame["label"]]

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> dict[str, Any]:
            row = {name: values[index] for name, values in self.encoded.items()}
            return {**row, "labels": self.labels[index]}

    def accuracy(predicted: Any) -> dict[str, float]:
        return {"accuracy": float(np.mean(predicted[0].argmax(-1) == predicted[1]))}

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        texts, held_out = Texts(train), Texts(validation)
        for unfreeze, epochs, rate in stages:
            open_layers(model, unfreeze)
            arguments = transformers.TrainingArguments(
                folder, num_train_epochs=epochs, learning_rate=rate, weight_decay=0.01, seed=seed,
                per_device_train_batch_size=32, per_device_eval_batch_size=32, use_cpu=True,
                train_sampling_strategy="group_by_length", lr_scheduler_type="constant",
                eval_strategy="epoch", save_strategy="no", logging_strategy="no", report_to="none",
                disable_tqdm=True,
            )  # fmt: skip
            trainer = transformers.Trainer(
                model, arguments, train_dataset=texts, eval_dataset=held_out,
                processing_class=tokenizer, compute_metrics=accuracy,
            )  # fmt: skip
            trainer.train()
        seconds = time.perf_counter() - started
        return seconds, trainer.evaluate(Texts(test))["eval_accuracy"]


def open_layers(model: Any, unfreeze: int | str) -> None:
    """Unfreeze the head and a number of the top layers."""
    for parameter in model.parameters():
        parameter.requires_grad = unfreeze == "all"
    layers = model.bert.encoder.layer
    parts = [model.classifier, model.bert.pooler]
    if unfreeze != "all":
        parts += list(layers[len(layers) - int(unfreeze) :])
    for part in parts:
        for parameter in part.parameters():
            parameter.requires_grad = True


if __name__ == "__main__":
    main()
