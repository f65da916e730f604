"""`everfit new`: the repository of a team, from the files in `template`."""
