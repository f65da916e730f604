"""The workspace: files and Delta tables, on a local disk or in an object store."""
