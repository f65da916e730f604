"""The `everfit` command: one module per group of subcommands."""
