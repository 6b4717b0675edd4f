"""Iris runs jobs on a fleet of machines that come and go. docs/architecture.md says which room does what."""
