"""`python -m kft.export RUN_DIR BASE_DIR`: converts a run directory to a version."""

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kft.answers import NumpyOps
from kft.data.parts import join_parts
from kft.errors import InputError, KftError
from kft.export.comparison import distances
from kft.export.launch import BATCH_SIZES, FORMATS, WEIGHTS, read_examples
from kft.export.servable import Servable
from kft.import_path import class_at
from kft.model.forward import Forward
from kft.runs.files import refused_write

EXAMPLES = "examples.json"  # a few raw inputs in a run directory
_BATCH = 32  # as in `predict`
_FACTS = ("class", "arguments", "plan", "versions", "state")


def main(arguments: Sequence[str] | None = None) -> int:
    """Export a run; return 0 if a version was made, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m kft.export", description=__doc__)
    parser.add_argument("run_dir", help="the directory of a run")
    parser.add_argument("base_dir", help="the directory of the versions")
    parser.add_argument("--format", choices=FORMATS, default="saved_model")
    parser.add_argument("--weights", choices=WEIGHTS, default="float32")
    parser.add_argument("--batch-size", type=int, action="append", help="of warmup; repeatable")
    parser.add_argument("--examples", help="JSON of raw inputs, as a run keeps them")
    parser.add_argument("--data", help="labelled data that show what smaller weights cost")
    parser.add_argument("--clients", action="store_true", help="write example clients")
    parser.add_argument("--recipe", help="the recipe's class, if it does not come with kft")
    parser.add_argument("--recipe-place", type=Path, help="the directory to import it from")
    parser.add_argument("--task", action="append", default=[], help="a task's class; repeatable")
    parser.add_argument("--task-place", type=Path, action="append", default=[], help="likewise")
    parser.add_argument("--json", action="store_true", help="end with a line of JSON")
    options = parser.parse_args(arguments)
    try:
        outcome = _export(options)
    except Exception as error:
        if not isinstance(error, KftError):
            reason = refused_write(error)
            if not reason:
                raise
            error = InputError(
                f"`{options.base_dir}` cannot be written to ({reason}): make room there, or pass another "
                "directory."
            )
        outcome = {"error": str(error), "kind": type(error).__name__}
    if options.json:
        print(json.dumps(outcome), flush=True)
    else:
        print(outcome.get("error") or outcome["instructions"])
    return int("error" in outcome)


def _export(options: argparse.Namespace) -> dict[str, Any]:
    from kft.export import clients, formats, saved_model, storage
    from kft.family import saving
    from kft.family.merging import merged

    own = class_at(options.recipe, options.recipe_place) if options.recipe else None
    tasks = [class_at(*one) for one in zip(options.task, options.task_place, strict=True)]
    recipe = merged(saving.load(options.run_dir, recipe=own, task=tasks))
    formats.check(recipe.model, recipe.task, options.format)
    servable = from_recipe(recipe, options.run_dir, options.examples)
    if options.weights != "float32":
        before, answer = _figures(recipe, options.data), _answer(servable)
        (storage.round_weights if options.weights == "float16" else storage.quantize)(recipe.model)
        facts = {
            **servable.facts,
            "weights_cost": _cost(servable, answer, _answer(servable)),
            "float32_figures": before,
            f"{options.weights}_figures": _figures(recipe, options.data),
        }
        servable = dataclasses.replace(servable, facts=facts)
    if options.format != "saved_model":
        path = formats.write(
            servable, options.base_dir, format=options.format, weights=options.weights
        )
        return {"version": str(path), "instructions": f"{path}: equal to the prediction."}
    version = saved_model.write(
        servable,
        options.base_dir,
        batch_sizes=options.batch_size or BATCH_SIZES,
        weights=options.weights,
    )
    if options.clients:
        clients.write(version)
    text_of = clients.written if options.clients else clients.instructions
    return {"version": str(version), "instructions": text_of(version)}


def _figures(recipe: Any, data: str | None) -> dict[str, Any] | None:
    """Return the recipe's figures on labelled data, None without data."""
    return None if data is None else recipe.evaluate(data).to_dict()


def _answer(servable: Servable) -> dict[str, np.ndarray]:
    raw = list(servable.examples)
    return servable.answer(servable.predict(raw), NumpyOps(), raw)


def _cost(servable: Servable, before: dict, after: dict) -> dict[str, Any]:
    """Return how much smaller weights change the answers to the examples."""
    answers = servable.description.answers
    floats = [name for name, one in answers.outputs.items() if one.dtype == "float32"]
    found = distances(before, after, answers)
    cost: dict[str, Any] = {"examples": len(servable.examples)}
    cost["largest_change"] = max((found[name] for name in floats), default=0.0)
    changes = [
        before[ranking.classes][:, 0] != after[ranking.classes][:, 0]
        for ranking in answers.rules.rankings
    ]
    if changes:
        cost["best_class_changes"] = int(np.any(changes, axis=0).sum())
    return cost


def from_recipe(recipe: Any, run_dir: str | os.PathLike, examples: str | None = None) -> Servable:
    """Return the exporter's view of a recipe.

    Args:
        recipe: A recipe that `kft.load` returned, on the TensorFlow backend.
        run_dir: The directory that it was loaded from, for its facts and examples.
        examples: A JSON file of raw inputs. Defaults to the run's own, otherwise to made-up ones.
    """
    path = Path(examples) if examples else Path(run_dir) / EXAMPLES
    facts = _read_facts(Path(run_dir))
    serving = recipe.serving_inputs()
    if os.path.exists(path):
        raw = read_examples(path, within=None if examples else path.parent)
        facts["examples"] = "real"
    elif examples:
        raise InputError(f"examples={examples!r} is not a file; pass JSON of raw inputs.")
    else:
        raw = _made_up(recipe, serving)
        facts["examples"] = "made up: the run kept none"
    return Servable(
        model=recipe.model,
        decode=serving.decode,
        predict=lambda inputs: _predicted(recipe, list(inputs)),
        modality=recipe.modality,
        task=recipe.task,
        classes=recipe.output_names,
        examples=tuple(raw),
        features=recipe.task.embedded(recipe.head_input),
        parts=serving.parts,
        shape=serving.shape,
        resources=tuple(serving.resources),
        facts=facts,
    )


def _predicted(recipe: Any, raw: list) -> Any:
    """Return the recipe's model outputs for raw inputs, in their own structure."""
    import keras

    rows, forward = recipe.raw_inputs(raw), Forward(recipe.model)
    starts = range(0, len(rows), _BATCH)
    found = [forward(recipe.load(rows[start : start + _BATCH])) for start in starts]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts), *found)


def _read_facts(run_dir: Path) -> dict[str, Any]:
    """Return the recipe, the plan and the history of a run, as far as it has them."""
    from kft.family.description import read_description
    from kft.family.run_files import HISTORY, read_history

    content = read_description(run_dir)
    facts = {"run": {key: content[key] for key in _FACTS if content.get(key) is not None}}
    if os.path.exists(run_dir / HISTORY):
        logged = read_history(run_dir)
        facts["run"]["last_epoch"] = {name: values[-1] for name, values in logged.items() if values}
    return facts


def _made_up(recipe: Any, serving: Any) -> list[Any]:
    """Return raw inputs for a run that saved none."""
    if recipe.modality == "text":
        parts = max(1, len(recipe.task.input_parts))
        texts = ["A sentence.", "Une autre, un peu plus longue, sans réponse ?"]
        made = [join_parts([text] * parts).encode() for text in texts]
        return made if parts > 1 else [b"", *made]
    import io

    from PIL import Image

    made = []
    for size in ((32, 48), (64, 40), (50, 50)):
        pixels = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        made.append(buffer.getvalue())
    if not serving.shape:
        return made
    (count,) = serving.shape
    return [tuple(made[(n + i) % len(made)] for i in range(count)) for n in range(len(made))]
