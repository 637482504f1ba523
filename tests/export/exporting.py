"""Export a copy of a version slowly enough to be killed: `python exporting.py VERSION BASE`.

Repeats the file operations of `saved_model.write` without the seconds that TensorFlow takes.
"""

import shutil
import sys

from kft.export import versions


def main(version: str, base: str) -> None:
    print("begins", flush=True)
    with versions.building(base) as hidden:
        shutil.copytree(version, hidden, dirs_exist_ok=True)
        versions.write_manifest(hidden)
        versions.publish(hidden)


if __name__ == "__main__":
    main(*sys.argv[1:])
