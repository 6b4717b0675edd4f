"""Breaks the control plane on purpose, in virtual time: see docs/simulation.md."""
