"""Load each of the outsider's runs and write what they answer, on whichever backend this is.

    python -m tests.outsider.answers FOLDER

reads the runs FOLDER/NAME and prints, as JSON, their columns by their names.
"""

import json
import sys
from pathlib import Path

import kft
from kft.tasks.saved import own_classes
from kft.testing.families import TinyImages, TinyTexts
from tests.leaving import leave
from tests.outsider.cases import CASES, IMAGES


def columns(recipe, name):
    """What a recipe answers to the inputs of a case, as lists."""
    return recipe.predict(CASES[name][1][0]).columns()


def main(folder: Path) -> None:
    found = {}
    for name, (task, (inputs, _)) in CASES.items():
        family = TinyImages if inputs is IMAGES else TinyTexts
        recipe = kft.load(folder / name, recipe=family, task=own_classes(task))
        found[name] = columns(recipe, name)
    print(json.dumps(found), flush=True)
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
