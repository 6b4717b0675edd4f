"""The controller of a cluster on this machine.

Programs use `controller`. It has `process` start `daemon`, the process that lives on and runs
`control_plane`: all parts of a cluster, put together.

Import from the modules: see iris.lifecycle.
"""
