"""How near the estimated delay of labels is to the truth: made-up worlds of 60 days, with many seeds.

Run it with `PYTHONPATH=tests python tests/bench/bench_delays.py 20`; a second number is the rows of a day.
"""

import sys

import numpy as np
import pandas as pd

from everfit.tasks.statistics.label_delays import label_delays

NOW = pd.Timestamp("2024-03-01", tz="UTC")
DAYS = 60
NEVER = (0.0, 0.1, 0.2, 0.4)
WORLDS = {
    "constant 14": lambda random, age: np.full(len(age), 14.0),
    "uniform to 30": lambda random, age: random.uniform(0, 30, len(age)),
    "uniform to 50": lambda random, age: random.uniform(0, 50, len(age)),
    "exponential 10": lambda random, age: random.exponential(10, len(age)),
    "exponential 20": lambda random, age: random.exponential(20, len(age)),
    "lognormal 10, 0.5": lambda random, age: random.lognormal(np.log(10), 0.5, len(age)),
    "lognormal 5, 1": lambda random, age: random.lognormal(np.log(5), 1, len(age)),
    "gamma 3, 4": lambda random, age: random.gamma(3, 4, len(age)),
    "two kinds, 12 and 3": lambda random, age: random.exponential(np.where(random.random(len(age)) < 0.2, 12, 3)),
    "two kinds, 25 and 2": lambda random, age: random.exponential(np.where(random.random(len(age)) < 0.15, 25, 2)),
    "4, since day 30 2": lambda random, age: random.exponential(np.where(age > DAYS - 30, 4, 2)),
    "2, since day 30 6": lambda random, age: random.exponential(np.where(age > DAYS - 30, 2, 6)),
}


def main(seeds: int, rows_a_day: int) -> None:
    """Print how often the delay is within a tenth of the truth, the interval has it, and the data is too short."""
    for name, draw in WORLDS.items():
        truth = float(np.quantile(draw(np.random.default_rng(0), np.zeros(1_000_000)), 0.99))
        for never in NEVER:
            near = honest = covered = 0
            for seed in range(seeds):
                random = np.random.default_rng(seed)
                age = random.uniform(0, DAYS, DAYS * rows_a_day)
                delay = np.where(random.random(len(age)) < never, np.inf, draw(random, age))
                events = pd.Series(NOW - pd.to_timedelta(age, unit="D"))
                known = events + pd.to_timedelta(pd.Series(np.where(delay <= age, delay, np.nan)), unit="D")
                found = label_delays(events, known, NOW)
                assert found is not None
                is_near = abs(found.days / truth - 1) <= 0.1
                near, honest = near + is_near, honest + (is_near or found.unsure)
                covered += found.lower <= 1.005 * truth and found.upper >= 0.995 * truth
            print(
                f"{name:<20}{never:>4.0%} never, truth {truth:>5.1f}: within a tenth {near / seeds:>4.0%}, "
                f"or said to be unsure {honest / seeds:>4.0%}, interval has it {covered / seeds:>4.0%}",
                flush=True,
            )


if __name__ == "__main__":
    numbers = [int(number) for number in sys.argv[1:]]
    main(*numbers, *(20, 100)[len(numbers) :])
