"""Put the tables of benchmark results into README, between their markers.

    python benchmarks/write_readme.py benchmarks/results/*.json

A table named `flowers` replaces what stands between `<!-- figures:flowers -->` and the next
`<!-- /figures -->`.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from figures import markdown

README = Path(__file__).parents[1] / "README.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="+", help="JSON files that benchmarks wrote with --out")
    parser.add_argument("--readme", default=README, help="the file to change")
    options = parser.parse_args()
    by_name: dict[str, list[dict]] = {}
    for path in options.results:
        one = json.loads(Path(path).read_text(encoding="utf-8"))
        by_name.setdefault(one["name"], []).append(one)
    readme = Path(options.readme)
    text = readme.read_text(encoding="utf-8")
    for name, results in by_name.items():
        text = with_table(text, name, markdown(results))
    readme.write_text(text, encoding="utf-8")


def with_table(text: str, name: str, table: str) -> str:
    """The text with a table between its markers."""
    place = re.compile(rf"(<!-- figures:{re.escape(name)} -->\n).*?(<!-- /figures -->)", re.DOTALL)
    changed, count = place.subn(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)
    if not count:
        sys.exit(
            f"README has no place for the figures {name!r}: write the lines "
            f"'<!-- figures:{name} -->' and '<!-- /figures -->' into it."
        )
    return changed


if __name__ == "__main__":
    main()
