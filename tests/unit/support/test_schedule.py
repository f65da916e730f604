"""Each test is handed out once, a file to one process as long as the others have work."""

import random

from support.schedule import Schedule


def test_a_file_is_handed_to_one_process() -> None:
    schedule = Schedule(["a", "a", "b", "b", "c"])

    assert [schedule.next(process) for process in (1, 2, 1, 2)] == [0, 2, 1, 3]
    assert schedule.next(2) == 4


def test_who_finds_no_file_left_takes_the_second_half_of_the_longest() -> None:
    schedule = Schedule(["a"] * 2 + ["b"] * 8)
    assert (schedule.next(1), schedule.next(2)) == (0, 2)

    assert [schedule.next(1) for _ in range(3)] == [1, 6, 7]  # of 3 to 9, which wait for the other
    assert [schedule.next(2) for _ in range(4)] == [3, 4, 5, 9]
    assert [schedule.next(1), schedule.next(2)] == [8, None]


def test_what_a_process_that_died_had_is_run_by_others() -> None:
    schedule = Schedule(["a"] * 4 + ["b"])
    assert [schedule.next(1), schedule.next(1)] == [0, 1]

    schedule.abandon(1, 1)  # it died before it began the second

    assert [schedule.next(2) for _ in range(5)] == [1, 2, 3, 4, None]


def test_each_test_is_handed_out_once_whoever_asks() -> None:
    draw = random.Random(4)
    for _ in range(200):
        files = [str(number) for number in range(draw.randint(1, 6)) for _ in range(draw.randint(1, 9))]
        schedule, handed, waiting = Schedule(files), [], [1, 2, 3]
        while waiting:
            process = draw.choice(waiting)
            given = schedule.next(process)
            if given is None:
                waiting.remove(process)
            else:
                handed.append(given)
        assert sorted(handed) == list(range(len(files)))
