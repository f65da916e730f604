"""The steps of the flows as Prefect tasks; `everfit.tasks` exports them."""
