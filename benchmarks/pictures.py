"""README's images: the table of `kft plan`, and the accuracies of `kft demo`.

    KERAS_BACKEND=tensorflow python benchmarks/pictures.py [--demo FOLDER]

The demo is run first, which takes about five minutes; `--demo` uses the folder of a finished one.
"""

import argparse
import io
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))

from kft.cli.demo import run_demo
from kft.cli.demo.comparison import Comparison
from kft.cli.demo.page import draw_accuracies
from kft.cli.demo.recipe import DigitsRecipe
from kft.cli.demo.run import FROM_SCRATCH, SIZES, SOURCE
from kft.cli.planning import table_of
from recipes import MobileNetRecipe

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS = 110


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--demo", type=Path, help="the folder of a finished `kft demo`")
    options = parser.parse_args()
    (DOCS / "plan.svg").write_text(plan(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        demo = options.demo or Path(folder) / "demo"
        if options.demo is None:
            run_demo(demo)
        accuracies(demo)


def plan() -> str:
    """Return the table that `kft plan MobileNetRecipe --num-classes 5` prints, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(table_of(MobileNetRecipe(num_classes=5)))
    return console.export_svg(title="kft plan MobileNetRecipe --num-classes 5", unique_id="plan")


def accuracies(demo: Path) -> None:
    """Draw the accuracies of a demo, with its settings in the description of the image."""
    results = json.loads((demo / "results.json").read_text(encoding="utf-8"))
    metadata = {"Date": None, "Creator": None, "Description": described()}
    drawn = draw_accuracies(Comparison.from_dict(results))
    drawn.savefig(DOCS / "demo.svg", metadata=metadata)


def described() -> str:
    """Return the settings of the demo for the description of the image."""
    bare = DigitsRecipe(num_classes=5).default_stages()
    stages = {"source": SOURCE, "from scratch": FROM_SCRATCH, "fit": bare}
    settings = {name: [stage.to_dict() for stage in some] for name, some in stages.items()}
    return json.dumps({"examples": SIZES, **settings}, sort_keys=True)


if __name__ == "__main__":
    main()
