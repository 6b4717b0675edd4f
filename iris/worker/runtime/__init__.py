"""Runs process trees with real control: started, watched, measured and ended to the last descendant.

    worker process        spawner              supervisor (one an attempt)    the attempt
    ProcessRuntime  ----> forks         ---->  forks, executes          ----> the task's tree
         |                                         |
         +---------------- control socket ---------+

The spawner is started before anything heavy is loaded and stays tiny, so that forking it is cheap,
and safe whatever threads the worker has by then. A supervisor is the subreaper of its attempt's
tree: nothing of it can get away by forking twice or by leading a session of its own. When the
worker ends, however it ends, the control sockets close and every supervisor kills its tree. When a
supervisor is killed, what it leaves falls to the spawner, which kills it.

`spawner`, `supervisor`, `process_tree`, `process_control`, `wakeup` and `wire` run in that tiny
process: standard library only, and little of it.

This is containment for any user on any Linux: it needs nothing, and ends everything. It bounds no
memory. Stronger containment (control groups, PID namespaces) belongs into the supervisor, in place
of `process_tree`, chosen by the spawner by trying, and is told in `isolation`.
"""
