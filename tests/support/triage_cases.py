"""What triage may come across, by name: signals, history, changes of the policy; and the verdict and rule they get."""

from support.triage_reasons import REASONS
from support.triage_turns import TURNS
from support.triage_windows import WINDOWS

CASES = WINDOWS | TURNS | REASONS
