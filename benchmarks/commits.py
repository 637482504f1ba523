"""The cost of a commit: ResNet50 with AdamW, all layers training.

    KERAS_BACKEND=torch python benchmarks/commits.py [--times 7] [--out FILE.json]

After one training step, which creates the optimizer's slots, the whole state is committed repeatedly:
variables to host memory, files, hashes, syncs, rename. Training waits for a commit; the table shows the
share of time that one commit per minute takes.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=7, help="commits to time")
    parser.add_argument("--out", help="a JSON file for the result")
    options = parser.parse_args()

    import keras
    import numpy as np
    from figures import publish, result

    from kft.callbacks import RunCheckpoint

    class Timed(RunCheckpoint):
        def _commit(self, *args, **kwargs):
            began = time.perf_counter()
            super()._commit(*args, **kwargs)
            spent.append(time.perf_counter() - began)

    spent: list[float] = []
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classes=5)
    model.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy")
    x, y = np.zeros((2 * options.times, 64, 64, 3), "float32"), np.zeros(2 * options.times, "int32")
    with tempfile.TemporaryDirectory() as folder:
        model.fit(x, y, batch_size=2, verbose=0, callbacks=[Timed(folder, every=1)])
        newest = max(Path(folder).glob("commit-*"))
        size = sum(file.stat().st_size for file in newest.iterdir())
    median = statistics.median(spent)
    backend = keras.backend.backend()
    publish(
        result(
            "commits",
            command=f"KERAS_BACKEND={backend} python benchmarks/commits.py --times {options.times}",
            columns=("backend", "MB", "seconds, median", "fastest and slowest", "at one a minute"),
            rows=[
                (
                    backend,
                    f"{size / 1e6:.0f}",
                    f"{median:.2f}",
                    f"{min(spent):.2f} to {max(spent):.2f}",
                    f"{median / 60:.1%}",
                )
            ],
            notes=[],
            details={"seconds": spent, "bytes": size},
            backend=backend,
        ),
        options.out,
    )


if __name__ == "__main__":
    main()
