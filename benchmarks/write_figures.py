"""Write the tables of benchmark results into README and docs/measured.md, between their markers.

    python benchmarks/write_figures.py benchmarks/results/*.json

A table named `flowers` replaces the text between `<!-- figures:flowers -->` and the next
`<!-- /figures -->`, on the page that contains these lines. Tables that are made from those of several
benchmarks, such as README's first, are written too if all results that they need are given.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import first_table
import standing
from figures import markdown

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "measured.md")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", nargs="+", help="JSON files that benchmarks wrote with --out")
    parser.add_argument("--page", action="append", help="a file to change, in place of those")
    options = parser.parse_args()
    by_name: dict[str, list[dict]] = {}
    for path in options.results:
        one = json.loads(Path(path).read_text(encoding="utf-8"))
        by_name.setdefault(one["name"], []).append(one)
    pages = {Path(page): Path(page).read_text(encoding="utf-8") for page in options.page or PAGES}
    tables = {name: markdown(results) for name, results in by_name.items()}
    for derived in (first_table, standing):
        if all(name in by_name for name in derived.TAKES):
            tables[derived.NAME] = derived.table(by_name)
    for name, table in tables.items():
        page = next((page for page, text in pages.items() if place_of(name).search(text)), None)
        if page is None:
            sys.exit(
                f"No page has a place for the figures {name!r}: write the lines "
                f"'<!-- figures:{name} -->' and '<!-- /figures -->' into one."
            )
        pages[page] = place_of(name).sub(
            lambda at, table=table: f"{at[1]}\n{table}\n\n{at[2]}", pages[page]
        )
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")


def place_of(name: str) -> re.Pattern[str]:
    """Return a pattern for the markers of a table and the text between them."""
    return re.compile(rf"(<!-- figures:{re.escape(name)} -->\n).*?(<!-- /figures -->)", re.DOTALL)


if __name__ == "__main__":
    main()
