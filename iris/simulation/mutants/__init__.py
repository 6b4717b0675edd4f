"""Bugs that others have had, or that we could, put back one at a time: each has to be caught."""
