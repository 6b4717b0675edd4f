"""How a controller itself is started, found and ended: `ClusterManager`, `ControllerProtocol`, and
a file for each kind.

Import from the modules: a controller that is starting needs but one of them, and its time counts.
"""
