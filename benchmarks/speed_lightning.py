"""The speed of BertRecipe compared with Lightning's two ways to unfreeze in stages, on PyTorch.

    python benchmarks/speed_lightning.py --data FOLDER --preset FOLDER [--limit 2000]

Needs lightning, finetuning-scheduler and transformers besides kft's test extra. finetuning-scheduler
and kft train the same three stages (head, one layer, two layers); Lightning's BackboneFinetuning
can only freeze or unfreeze everything, so it is compared with kft in two stages, the head and all.
All use the same MiniLM, AdamW, batches of 32 padded to their longest text, the same rates and epochs,
and validate after each epoch. The clock runs from the texts to the end of training.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from turns import add_text_arguments, in_turns, table, turns_parser

THREE = [(0, 4, 3e-3), (1, 3, 3e-4), (2, 3, 3e-4)]
TWO = [(0, 8, 3e-3), ("all", 1, 1e-4)]
PEERS = {"finetuning-scheduler": THREE, "BackboneFinetuning": TWO}
WAYS = {**PEERS, "kft, three stages": THREE, "kft, two stages": TWO}


def main() -> None:
    parser = turns_parser(__doc__)
    add_text_arguments(parser)
    options = parser.parse_args()
    if not Path(options.data, "train.tsv").is_file():
        sys.exit(f"{options.data} has no train.tsv: pass the folder that holds it as --data.")
    if options.way is not None:
        print(json.dumps(one_way(options)))
        return

    from figures import publish, result

    outcomes = in_turns({way: {"KERAS_BACKEND": "torch"} for way in WAYS}, options.rounds)
    rows: list[tuple[str, ...]] = []
    for peer, ours in zip(PEERS, list(WAYS)[2:], strict=True):
        columns, pair = table({way: outcomes[way] for way in (peer, ours)}, peer)
        rows += pair
    folder = Path(options.data).name
    command = f"python benchmarks/speed_lightning.py --data {folder} "
    command += f"--preset {Path(options.preset).name} --rounds {options.rounds}"
    command += f" --limit {options.limit}" if options.limit else ""
    stages = "; ".join(
        f"{name}: " + ", ".join(f"{depth}:{epochs}:{rate:g}" for depth, epochs, rate in plan)
        for name, plan in (("three stages", THREE), ("two stages", TWO))
    )
    publish(
        result(
            "speed_lightning",
            command=f"KERAS_BACKEND=torch {command}",
            columns=columns,
            rows=rows,
            notes=[
                f"{folder}, MiniLM. {stages} (layers:epochs:rate). Medians over the rounds, with the "
                "least and the most; all ways in turns, in processes of their own."
            ],
            details=outcomes,
            backend="torch",
        ),
        options.out,
    )


def one_way(options: argparse.Namespace) -> dict[str, Any]:
    from speed_text import parts, with_kft

    train, validation, test = parts(Path(options.data), options.limit, options.seed)
    way = with_lightning if options.way in PEERS else with_kft
    stages = WAYS[options.way]
    if way is with_lightning:
        seconds, accuracy = with_lightning(
            options.preset, train, validation, test, stages, options.seed, options.way
        )
    else:
        seconds, accuracy = with_kft(options.preset, train, validation, test, stages, options.seed)
    return {"seconds": seconds, "accuracy": accuracy}


def with_lightning(
    preset: str, train: Any, validation: Any, test: Any, stages: list, seed: int, peer: str
) -> tuple[float, float]:
    import lightning
    import torch
    import transformers
    from lightning.pytorch.callbacks import BackboneFinetuning

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    lightning.seed_everything(seed, verbose=False)
    classes = sorted(set(train["label"]), key=str)
    tokenizer = transformers.AutoTokenizer.from_pretrained(preset)
    collate = transformers.DataCollatorWithPadding(tokenizer)

    class Classifier(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = transformers.AutoModel.from_pretrained(preset)
            width = self.backbone.config.hidden_size
            self.head = torch.nn.Sequential(
                torch.nn.Linear(width, width), torch.nn.Tanh(), torch.nn.Linear(width, len(classes))
            )

        def forward(self, batch: Any) -> Any:
            known = {name: batch[name] for name in ("input_ids", "attention_mask")}
            return self.head(self.backbone(**known).last_hidden_state[:, 0])

        def training_step(self, batch: Any, index: int) -> Any:
            return torch.nn.functional.cross_entropy(self(batch), batch["labels"])

        def validation_step(self, batch: Any, index: int) -> None:
            scores, labels = self(batch), batch["labels"]
            loss = torch.nn.functional.cross_entropy(scores, labels)
            right = (scores.argmax(-1) == labels).float().mean()
            self.log_dict({"val_accuracy": right, "val_loss": loss}, batch_size=len(labels))

        def configure_optimizers(self) -> Any:
            parameters = [one for one in self.parameters() if one.requires_grad]
            return torch.optim.AdamW(parameters, lr=stages[0][2])

    def loader(frame: Any, shuffle: bool = False) -> Any:
        encoded = tokenizer(list(frame["text"]), truncation=True, max_length=128)
        labels = [classes.index(label) for label in frame["label"]]
        rows = [
            {**{name: column[index] for name, column in encoded.items()}, "labels": label}
            for index, label in enumerate(labels)
        ]
        return torch.utils.data.DataLoader(rows, 32, shuffle=shuffle, collate_fn=collate)

    model = Classifier()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        loaders = loader(train, shuffle=True), loader(validation)
        if peer == "BackboneFinetuning":
            callback: Any = BackboneFinetuning(
                unfreeze_backbone_at_epoch=stages[0][1],
                backbone_initial_lr=stages[1][2],
                lambda_func=lambda epoch: 1.0,
                should_align=False,
            )
        else:
            callback = scheduler(model, stages, Path(folder))
        trainer = lightning.Trainer(
            accelerator="cpu", max_epochs=sum(stage[1] for stage in stages), callbacks=[callback],
            logger=False, enable_progress_bar=False, enable_model_summary=False,
            enable_checkpointing=False, default_root_dir=folder,
        )  # fmt: skip
        trainer.fit(model, *loaders)
        seconds = time.perf_counter() - started
        return seconds, trainer.validate(model, loader(test), verbose=False)[0]["val_accuracy"]


def scheduler(model: Any, stages: list, folder: Path) -> Any:
    """Return finetuning-scheduler with a schedule that unfreezes like kft, at the same rates."""
    import yaml
    from finetuning_scheduler import FinetuningScheduler

    depth = len(model.backbone.encoder.layer)
    schedule: dict[int, Any] = {}
    opened, last = 0, -1
    for index, (unfreeze, epochs, rate) in enumerate(stages):
        layers = range(depth - int(unfreeze), depth - opened)
        names = [rf"backbone.encoder.layer.{layer}.*" for layer in layers]
        last += epochs
        phase = {"params": names or ["head.*"], "max_transition_epoch": last + 1}
        schedule[index] = phase if index == 0 else {**phase, "lr": rate}
        opened = int(unfreeze)
    path = folder / "schedule.yaml"
    path.write_text(yaml.safe_dump(schedule))
    return FinetuningScheduler(
        ft_schedule=str(path), epoch_transitions_only=True, restore_best=False
    )


if __name__ == "__main__":
    main()
