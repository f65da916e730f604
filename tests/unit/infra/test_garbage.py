"""Searches for garbage leave out what a service holds for good."""

import subprocess
import sys

import pytest

SERVICE = """
import gc
from everfit.infra.serving.garbage import GarbageSearches

searches = GarbageSearches()
searches.pause()
assert not gc.isenabled()
loaded = [[number] for number in range(1_000)]
searches.resume()
assert gc.isenabled()
assert gc.get_freeze_count() > 1_000
before = gc.get_freeze_count()

gc.collect()  # a short search
assert gc.get_freeze_count() == before

more = [[[number]] for number in range(500_000)]  # such as another library
gc.collect()
assert gc.get_freeze_count() > before + 500_000

class Part: pass
lost = [Part() for _ in range(2)]
lost[0].other, lost[1].other = lost[1], lost[0]
del lost
assert gc.collect() >= 2
"""

POOLS = """
import threading
from concurrent.futures import ThreadPoolExecutor
from everfit.infra.serving.garbage import GarbageSearches

class Download: pass

searches = GarbageSearches()
searches.pause()
for _ in range(30):
    one = Download()
    one.itself, one.pool = one, ThreadPoolExecutor(1)
    one.pool.submit(int).result()
del one
pools = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
assert len(pools) == 30
searches.resume()
for thread in pools:
    thread.join(30)
    assert not thread.is_alive()
"""


def test_threads_that_downloads_left_end_when_the_service_has_started() -> None:
    done = subprocess.run([sys.executable, "-c", POOLS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_stays_is_left_out_of_later_searches_and_new_garbage_is_still_found() -> None:
    done = subprocess.run([sys.executable, "-c", SERVICE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
