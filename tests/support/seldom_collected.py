"""Imported first by the process that others are forked from: from here on garbage is looked for as in a command."""

import gc

gc.set_threshold(50_000, 20, 50)
