"""Buys and returns slices: a pure plan (`plan`) and a shell (`Autoscaler`) that carries it out over
the platforms.
"""
