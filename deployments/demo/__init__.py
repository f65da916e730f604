"""The demo: a year of real flights, month by month."""
