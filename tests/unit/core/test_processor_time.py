"""The processor time of a process since a moment."""

import pickle
import subprocess
import sys
import time

from everfit.tasks.core.processor_time import ProcessorClock


def test_the_time_that_was_used_is_counted() -> None:
    began = time.process_time()
    clock = ProcessorClock()
    while time.process_time() < began + 0.3:
        pass

    used = clock.seconds()

    assert used is not None
    assert 0.2 <= used <= time.process_time() - began + 0.1


def test_another_process_does_not_know_it() -> None:
    program = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()).seconds())"
    given = pickle.dumps(ProcessorClock())
    assert (
        subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, check=True).stdout
        == b"None\n"
    )
