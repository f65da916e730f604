"""What a campaign did, and what it broke."""

import json
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of a driver.

    Attributes:
        done: Number of kills, faults and so on, by their name.
        broken: A sentence for each broken invariant, with the seed that shows it.
    """

    done: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Add the counts of another run."""
        self.done += other.done
        self.broken += other.broken

    def written(self) -> str:
        """Return the counts and broken invariants as one line for `read`."""
        return json.dumps([self.done, self.broken])

    @classmethod
    def read(cls, text: str) -> "Tally":
        """Return what a process has written as its last line."""
        done, broken = json.loads(text.splitlines()[-1])
        return cls(Counter(done), broken)

    def text(self) -> str:
        """Return the counts and the broken invariants, a line each."""
        counts = ", ".join(f"{count:,} {name}" for name, count in sorted(self.done.items()))
        return "\n".join([f"{counts}; {len(self.broken)} broken invariants", *(f"  {one}" for one in self.broken)])
