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

How a tree is held depends on what the machine allows, found out by trying when the spawner starts
(`containment`), and told in `isolation`:

- Control groups (`cgroups`), where they may be written: the kernel holds limits of memory, CPU and
  processes, and what it killed for lack of memory is noticed (`oom_watch`). What they cannot limit
  the `watchdog` does, by looking.
- A PID namespace (`namespaces`) whose first process is the supervisor: the kernel ends everybody in
  it at once, also when the supervisor is killed.
- Without one, walking the tree (`process_tree`): any user on any Linux can.

All that runs in that tiny process (the sources of `:spawner`) is standard library only, and little
of it.
"""
