"""The problems that people are notified of: their course, their messages and the weekly digest."""
