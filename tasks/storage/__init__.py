"""Store files and Delta tables in the workspace, a local folder or an object store."""
