"""`python -m kft.export RUN_DIR BASE_DIR`: the process of an export."""

import sys

from kft.export.command import main

if __name__ == "__main__":
    sys.exit(main())
