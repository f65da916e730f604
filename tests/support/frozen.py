"""Imported last by the process that others are forked from: a search for garbage leaves out all that it has imported.

It would take a part of a second in each forked process, and copy the memory that they share.
"""

import gc

from support.databases import compile_once, find_revision_once
from support.prefect_logging import load_as_a_command

load_as_a_command()
compile_once()
find_revision_once()
gc.freeze()
