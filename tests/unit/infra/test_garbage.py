"""Searches for garbage leave out what a service holds for good."""

import subprocess
import sys

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


def test_what_stays_is_left_out_of_later_searches_and_new_garbage_is_still_found() -> None:
    done = subprocess.run([sys.executable, "-c", SERVICE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
