"""Poll as the server does, and check each version that appears: `python polling.py BASE STOP`."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

from kft.export import check, protos, versions


def main(base: str, stop: str) -> None:
    protos.without_tensorflow()
    reasons: dict[str, list[str]] = {}
    polls, last = 0, False
    with ThreadPoolExecutor(1) as thread:
        checks = {}
        while not last:
            last = os.path.exists(stop)
            polls += 1
            for name in os.listdir(base):
                if versions.version_number(name) is not None and name not in checks:
                    # The files are checked as they first appear; serving is checked in the background.
                    reasons[name] = versions.compare_manifest(os.path.join(base, name))
                    checks[name] = thread.submit(check.check, os.path.join(base, name))
        for name, checked in checks.items():
            reasons[name] += checked.result()
    print(json.dumps({"reasons": reasons, "polls": polls}))


if __name__ == "__main__":
    main(*sys.argv[1:])
