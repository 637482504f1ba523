"""LogME's ranking of backbones, compared with their accuracies after training.

    python benchmarks/ranking.py --task flowers --data FOLDER --weights FILE --other-weights FILE
    python benchmarks/ranking.py --task trec6 --data FOLDER --weights FOLDER

Pairs of a backbone and weights: MobileNetV2 0.35 and MobileNet 0.25 with ImageNet's weights, at two
sizes, cut off at a block in the middle, and with random weights; or MiniLM-L6, its first layers, and
the same with random weights. `kft.tuning.rank` uses only training examples. Measured is the test
accuracy of a head (the best of three rates by validation accuracy), of the same head followed by
training of the top blocks, and of a logistic regression on the head's inputs, standardised (the best
of three penalties by validation accuracy), which shows what the features contain linearly, however
well gradient descent finds it.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recipes import BertRecipe, MobileNetRecipe

HEAD_RATES = (1e-3, 3e-3, 1e-2)
PENALTIES = (0.01, 0.1, 1.0)  # scikit-learn's C
WAYS = {"regression": "by regression", "head": "with the head", "deeper": "with blocks trained"}


@dataclass(kw_only=True, eq=False)
class CutMobileNet(MobileNetRecipe):
    """A MobileNet that ends at a layer."""

    upto: str | None = None

    def backbone(self, inputs: Any) -> Any:
        import keras

        features = super().backbone(inputs)
        if self.upto is None:
            return features
        return keras.Model(inputs, features).get_layer(self.upto).output


@dataclass(kw_only=True, eq=False)
class CutBert(BertRecipe):
    """The first layers of a BERT."""

    layers: int = 6

    def backbone(self, inputs: Any) -> Any:
        return self.encoder.get_layer(f"transformer_layer_{self.layers - 1}").output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", choices=("flowers", "trec6"), required=True)
    parser.add_argument(
        "--data", required=True, help="a folder with a folder per class, or trec6's"
    )
    parser.add_argument(
        "--weights", required=True, help="MobileNetV2 0.35's, or MiniLM-L6's folder"
    )
    parser.add_argument("--other-weights", help="MobileNet 0.25's, for flowers")
    parser.add_argument("--limit", type=int, default=1200, help="use this many examples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()
    wanted = [options.data, options.weights]
    wanted += [options.other_weights] if options.task == "flowers" else []
    for path in wanted:
        if path is None or not Path(path).exists():
            sys.exit(f"{path} is missing: pass --data and the weights, see --help.")
    measure(options)


def candidates(options: argparse.Namespace, classes: int) -> dict[str, Any]:
    """Return the recipes of the pairs by name."""
    if options.task == "trec6":
        return {
            f"{'MiniLM' if weights else 'random'}, {layers} layers": CutBert(
                options.weights,
                num_classes=classes,
                weights=weights,
                layers=layers,
                backbone_dropout=0.0,
                seed=options.seed,
            )
            for weights, depths in (("preset", (6, 4, 2, 1)), (None, (6, 1)))
            for layers in depths
        }
    networks = {
        "MobileNetV2 0.35": {"name": "MobileNetV2", "alpha": 0.35, "weights": options.weights},
        "MobileNet 0.25": {"name": "MobileNet", "alpha": 0.25, "weights": options.other_weights},
    }
    cuts = {"MobileNetV2 0.35": "block_6_expand_relu", "MobileNet 0.25": "conv_pw_6_relu"}
    found = {}
    for name, given in networks.items():
        ways: dict[str, dict[str, Any]] = {
            "128 px": {},
            "64 px": {"image_size": (64, 64)},
            f"128 px, up to {cuts[name]}": {"upto": cuts[name]},
            "128 px, random weights": {"weights": None},
        }
        for way, changed in ways.items():
            arguments = {"image_size": (128, 128), "seed": options.seed, **given, **changed}
            found[f"{name}, {way}"] = CutMobileNet(num_classes=classes, **arguments)
    return found


def measure(options: argparse.Namespace) -> None:
    import keras
    from figures import publish, result

    from kft.data.read import read
    from kft.data.split import split
    from kft.tuning import rank

    started = time.perf_counter()
    if options.task == "flowers":
        examples = read(options.data, task="single_label", modality="image")
    else:
        examples = read(Path(options.data) / "train.tsv", task="single_label", modality="text")
    _, examples = split(examples, options.limit / len(examples), seed=0)
    rest, test = split(examples, 0.25, options.seed)
    train, validation = split(rest, 0.2, options.seed)
    known = candidates(options, len(train.classes))
    ranking = rank(known, train)
    ranked = time.perf_counter() - started
    rows, measured = [], []
    for one in ranking.candidates:
        parts = train, validation, test
        regression = regress(known[one.name], parts)
        head, deeper = train_both(options, one.name, parts)
        reached = {"regression": regression, "head": head, "deeper": deeper}
        measured.append({"name": one.name, "logme": one.score, **reached})
        print(measured[-1], flush=True)
        cells = f"{one.score:.3f}", "yes" if one.fits else "no"
        rows.append((options.task, one.name, *cells, *(f"{each:.3f}" for each in reached.values())))
    pretrained = [one for one in measured if "random" not in one["name"]]
    agreement = {"all": correlations(measured), "pretrained": correlations(pretrained)}
    said = "; ".join(
        f"{whose}: {', '.join(f'{rho[way]:.2f} {what}' for way, what in WAYS.items())}"
        for whose, rho in (
            ("all pairs", agreement["all"]["spearman"]),
            ("without random weights", agreement["pretrained"]["spearman"]),
        )
    )
    noise = 100 * (0.25 / len(test)) ** 0.5
    notes = [
        f"{options.task}: {len(train)} examples to rank by and to train, {len(validation)} to choose "
        f"the head's rate, {len(test)} to test (a standard error of up to {noise:.1f} points). "
        f"Spearman's correlation of the ranks, {said}."
    ]
    command = f"python benchmarks/ranking.py --task {options.task} --data "
    command += f"{Path(options.data).name} --weights {Path(options.weights).name}"
    if options.other_weights:
        command += f" --other-weights {Path(options.other_weights).name}"
    backend = keras.backend.backend()
    publish(
        result(
            "ranking",
            command=f"KERAS_BACKEND={backend} {command} --limit {options.limit}",
            columns=(
                "task", "backbone", "LogME", "fits", "regression", "head alone", "blocks trained too",
            ),
            rows=rows,
            notes=notes,
            details={
                "measured": measured,
                "agreement": agreement,
                "ranking": ranking.to_dict(),
                "seconds": {"ranking": ranked, "all": time.perf_counter() - started},
            },
            backend=backend,
        ),
        options.out,
    )  # fmt: skip


def correlations(measured: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return Spearman's and Kendall's correlations of LogME with the measured accuracies."""
    from scipy.stats import kendalltau, spearmanr

    scores = [one["logme"] for one in measured]
    return {
        name: {way: float(of(scores, [one[way] for one in measured]).statistic) for way in WAYS}
        for name, of in (("spearman", spearmanr), ("kendall", kendalltau))
    }


def regress(recipe: Any, parts: tuple) -> float:
    """Return the test accuracy of a logistic regression on the head's inputs."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from kft.tuning.selection import head_inputs

    train, validation, test = (head_inputs(recipe, recipe.read(part)) for part in parts)
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=2000)).fit(*train)
        for penalty in PENALTIES
    ]
    return float(max(models, key=lambda model: model.score(*validation)).score(*test))


def train_both(options: argparse.Namespace, name: str, parts: tuple) -> tuple[float, float]:
    """Return the test accuracy of the best head, and after training the top blocks too."""
    import tempfile

    import kft
    from kft.stages.stage import Stage

    train, validation, test = parts
    recipe = candidates(options, len(train.classes))[name]
    rate = 3e-4 if options.task == "flowers" else 1e-4
    with tempfile.TemporaryDirectory() as folder:
        search = recipe.tune(
            train,
            validation,
            run_dir=Path(folder) / "head",
            max_trials=len(HEAD_RATES),
            algorithm="grid",
            space=lambda hp: hp.Choice("head_lr", list(HEAD_RATES)),
            stages=[Stage(0, 20, 1e-3)],
            seed=options.seed,
            verbose=0,
        )
        best = search.best_recipe
        head = best.evaluate(test).accuracy
        deeper = best.fit(
            train, validation, stages=[Stage(1, 5, rate, warmup=0.2)],
            cache=kft.Cache(True, directory=Path(folder) / "head" / "features"), seed=options.seed, verbose=0,
        ).recipe.evaluate(test).accuracy  # fmt: skip
    return float(head), float(deeper)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
