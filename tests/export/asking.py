"""Send requests to a version through the C API, without Keras: `python asking.py DIR REQUESTS`.

Prints the answers, and by how many MB the process grew after the first.
"""

import json
import resource
import sys
from pathlib import Path

import numpy as np

from kft.export import capi, protos
from kft.export.session import Session

protos.without_tensorflow()


def main(directory: str, requests: str) -> None:
    answers, before = [], 0
    with Session(directory, threads=1) as session:
        for signature, inputs in json.loads(Path(requests).read_text()):
            given = inputs if isinstance(inputs, dict) else {"inputs": inputs}
            if len(answers) == 1:
                before = peak()
            try:
                answer = session.run(signature, {name: _raw(one) for name, one in given.items()})
            except capi.TensorFlowError as error:
                answers.append({"error": str(error)})
                continue
            answers.append({name: _plain(value) for name, value in answer.items()})
    assert not {"keras", "keras_hub"} & set(sys.modules)
    print(json.dumps({"answers": answers, "grown": peak() - before}))


def _raw(values: list) -> object:
    if values and not isinstance(values[0], str):
        return values
    return np.array([text.encode("latin-1") for text in values], dtype=object)


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _plain(value: np.ndarray) -> list:
    if value.dtype == object:
        return np.vectorize(bytes.decode, otypes=[object])(value).tolist()
    return value.tolist()


if __name__ == "__main__":
    main(*sys.argv[1:])
