"""Values that a test is parametrized by, and that start a backend, are made when the test runs.

The processes of a job's tests are forked after the tests were collected: see `tests/parts.py`.
"""


def made(value):
    """Return a value, or what the function returns that is given in its place."""
    return value() if callable(value) else value
