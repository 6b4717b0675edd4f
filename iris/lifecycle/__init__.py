"""How a controller itself is started, found and ended: `ClusterManager`, `ControllerProtocol`, and
a folder for each kind: `local`; `remote`, a local one on another machine; `gcp`, a remote one on a
machine that is bought.

Import from the modules: a controller that is starting needs but one of them, and its time counts.
"""
