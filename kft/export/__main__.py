"""`python -m kft.export RUN_DIR BASE_DIR`: the process that exports a run."""

import sys

from kft.export.command import main

if __name__ == "__main__":
    sys.exit(main())
