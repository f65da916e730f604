"""How a monitored window is shown: Evidently's report, tables, text."""
