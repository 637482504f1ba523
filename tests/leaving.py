"""How the scripts of the tests end: at once."""

import atexit
import os
import sys


def leave() -> None:
    """End this process with success, without freeing all that it imported, which takes seconds."""
    atexit._run_exitfuncs()  # which remove temporary folders
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
