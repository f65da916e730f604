"""The process in which a policy is lived through, and what `everfit rehearse` shows."""
