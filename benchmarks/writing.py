"""How much a language model learns of new texts, and forgets of its own, by a bare `recipe.fit(data)`.

    python benchmarks/writing.py --text FILE --preset FOLDER --out FILE.json

`--text` is a text file such as Shakespeare's plays, `--preset` a small language model of KerasHub such
as stories260K. The last tenth of the text is the test part. KerasHub's guide to fine-tuning GPT-2 is
plain `CausalLM.fit`: one epoch in batches of 32 with Adam at 5e-5, falling to 0; `keras_guide_long`
trains for as many epochs as kft. All get the same rows. Forgetting is measured on texts that the model
generated before. Results that `--out` already contains are kept, so an interrupted command resumes when
it is run again.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

WAYS = {
    "before": "before",
    "keras_guide": "`CausalLM.fit`, 1 epoch",
    "keras_guide_long": "`CausalLM.fit`, {epochs} epochs",
    "kft": "`recipe.fit(data)`",
    "kft_lora": "the same with `LoRA(8)`",
}
TOKENS = 256
OPENING = "Once upon a time"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--preset", required=True, help="a preset of a language model")
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=list(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--characters", type=int, help="train and test on so much of the text")
    parser.add_argument("--epochs", type=int, default=5, help="of `keras_guide_long`")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    cells = json.loads(options.out.read_text())["details"] if options.out.is_file() else {}
    train, test = parts(options.text.read_text(encoding="utf-8")[: options.characters])
    stories = new_recipe(options.preset, 0).generate(
        [OPENING] * 64, max_new_tokens=200, temperature=0.8, seed=0, batch_size=64
    )
    own = [OPENING + text for text in stories.texts]
    for seed in range(options.seeds):
        for way in options.ways:
            if (key := f"seed {seed}, {way}") not in cells:
                started = time.perf_counter()
                recipe = fitted(options, way, train, seed)
                seconds = time.perf_counter() - started
                cells[key] = {
                    "seed": seed,
                    "way": way,
                    "seconds": seconds,
                    **figures(recipe.evaluate(test)),
                    "own": figures(recipe.evaluate(own))["bits_per_byte"],
                    "written": recipe.generate("ROMEO:\n", max_new_tokens=60, seed=0)[0],
                }
                print(key, cells[key], flush=True)
                write(options, cells, train, test)
    write(options, cells, train, test)


def parts(text: str) -> tuple[list[str], list[str]]:
    """Return training and test texts: adjacent paragraphs of up to 400 characters together."""
    found = [""]
    for paragraph in text.split("\n\n"):
        if found[-1] and len(found[-1]) + len(paragraph) > 400:
            found.append("")
        found[-1] += ("\n\n" if found[-1] else "") + paragraph
    cut = len(found) * 9 // 10
    return found[:cut], found[cut:]


def new_recipe(preset: str, seed: int, **arguments: Any) -> Any:
    from recipes import CausalLMRecipe

    return CausalLMRecipe(preset, seed=seed, sequence_length=TOKENS, **arguments)


def fitted(options: argparse.Namespace, way: str, train: list[str], seed: int) -> Any:
    """Return a recipe that is fine-tuned in one of the ways."""
    import kft

    adapters = {"adapters": kft.LoRA(8)} if way == "kft_lora" else {}
    recipe = new_recipe(options.preset, seed, **adapters)
    if way in ("kft", "kft_lora"):
        recipe.fit(train, seed=seed, verbose=0)
    elif way != "before":
        keras_guide(recipe, train, seed, 1 if way == "keras_guide" else options.epochs)
    return recipe


def keras_guide(recipe: Any, train: list[str], seed: int, epochs: int) -> None:
    """Fine-tune as KerasHub's guide does (https://keras.io/examples/generative/gpt2_text_generation_with_kerasnlp)."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(seed)
    model = keras_hub.models.CausalLM.from_preset(recipe.preset)
    model.preprocessor.sequence_length = TOKENS
    steps = epochs * math.ceil(len(train) / 32)
    rate = keras.optimizers.schedules.PolynomialDecay(5e-5, steps, end_learning_rate=0.0)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        weighted_metrics=["accuracy"],
    )
    model.fit(train, batch_size=32, epochs=epochs, verbose=0)
    _ = recipe.model  # built, so that `encoder` is that of the recipe's model
    recipe.encoder.set_weights(model.backbone.get_weights())


def figures(evaluation: Any) -> dict[str, float]:
    return {
        name: float(evaluation.figures[name])
        for name in ("perplexity", "bits_per_byte", "accuracy")
    }


def write(options: argparse.Namespace, cells: dict[str, Any], train: Any, test: Any) -> None:
    import keras
    from figures import mean_and_error, result

    backend = keras.backend.backend()
    ways = [way for way in WAYS if any(cell["way"] == way for cell in cells.values())]
    flags = "".join(
        f" --{name} {value}"
        for name, value, usual in (
            ("seeds", options.seeds, 3),
            ("characters", options.characters, None),
            ("epochs", options.epochs, 5),
        )
        if value != usual
    )
    rows = []
    for way in ways:
        some = [cell for cell in cells.values() if cell["way"] == way]
        names = ("perplexity", "bits_per_byte", "own")
        shown = [mean_and_error([cell[name] for cell in some]) for name in names]
        rows.append((options.text.name, backend, WAYS[way].format(epochs=options.epochs), *shown))
    if ways != list(WAYS):
        flags += f" --ways {' '.join(ways)}"
    outcome = result(
        "writing",
        command=f"KERAS_BACKEND={backend} python benchmarks/writing.py --text {options.text.name} "
        f"--preset {Path(options.preset).name}{flags}",
        columns=(
            "text",
            "backend",
            "",
            "perplexity",
            "bits per byte",
            "bits per byte of its own stories",
        ),
        rows=rows,
        notes=[
            f"{options.text.name}: {sum(map(len, train)):,} characters to train, "
            f"{sum(map(len, test)):,} to test; the mean over seeds and its standard error, "
            "or that of a single seed. Less is better."
        ],
        details=cells,
        backend=backend,
    )
    options.out.write_text(json.dumps(outcome, indent=1) + "\n")


if __name__ == "__main__":
    main()
