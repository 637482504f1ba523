from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kft.data.threads import map_in_threads

pytestmark = pytest.mark.once


@pytest.mark.parametrize("count", [0, 1, 5, 1000])
def test_results_come_in_the_order_of_the_items(count):
    expected = [n * n for n in range(count)]
    assert map_in_threads(lambda n: n * n, range(count)) == expected
    assert map_in_threads(lambda row: int(row[0]) ** 2, np.arange(count)[:, None]) == expected


def test_many_items_are_few_tasks(monkeypatch):
    """One task per item would take more memory than the items, all at once."""
    tasks = []
    submit = ThreadPoolExecutor.submit
    monkeypatch.setattr(
        ThreadPoolExecutor, "submit", lambda *given: tasks.append(1) or submit(*given)
    )
    assert len(map_in_threads(abs, range(64_000))) == 64_000
    assert len(tasks) == 1000


def test_an_error_reaches_the_caller():
    def fail(n):
        if n == 70:
            raise ValueError("the 70th")

    with pytest.raises(ValueError, match="the 70th"):
        map_in_threads(fail, range(100))


def test_there_are_two_threads_for_each_core_that_the_process_may_use(monkeypatch):
    made = []
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0}, raising=False)
    start = ThreadPoolExecutor.__init__
    monkeypatch.setattr(
        ThreadPoolExecutor, "__init__", lambda pool, most: made.append(most) or start(pool, most)
    )
    map_in_threads(abs, range(10))
    assert made == [2]
