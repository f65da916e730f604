"""Imports Evidently as the process does that draws reports: it takes three seconds, and gives warnings."""

from everfit.tasks.monitoring.report.text_descriptors import import_evidently

import_evidently()
