"""The controller of a cluster on another machine: a local one there.

`controller` is here and tells `host_program`, which is shipped there, what to do; `manual` is the
kind for a machine that is there already.

Import from the modules: see iris.lifecycle.
"""
