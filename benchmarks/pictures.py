"""Draw README's pictures: the plan table, and the curves of a finished `kft demo`.

kft demo --directory kft-demo && python benchmarks/pictures.py kft-demo
"""

import json
import sys
from pathlib import Path

from rich.console import Console

import kft
from kft.demo.comparison import WAYS, Comparison
from kft.demo.page import draw_curves
from recipes import MobileNetRecipe

DOCS = Path(__file__).parents[1] / "docs"


def main(demo: Path) -> None:
    recipe = MobileNetRecipe("MobileNetV2", num_classes=5, weights=None)
    console = Console(record=True, width=116, file=sys.stderr)
    console.print(kft.plan_table(recipe.model, recipe.default_stages()))
    console.save_svg(str(DOCS / "plan.svg"), title="kft plan MobileNetRecipe --num-classes 5")

    results = json.loads((demo / "results.json").read_text(encoding="utf-8"))
    comparison = Comparison(results["examples_per_digit"], results["test_pictures"])
    for way in WAYS:
        for seed, curve in results["curves"][way].items():
            comparison.add(way, int(seed), {"val_accuracy": curve})
    drawn = draw_curves(comparison)
    drawn.savefig(DOCS / "curves.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
