"""The immediate end of test scripts."""

import atexit
import os
import sys


def leave() -> None:
    """End this process with success, without freeing imported modules, which takes seconds."""
    atexit._run_exitfuncs()  # removes temporary folders
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
