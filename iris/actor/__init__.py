"""RPC between tasks: one hosts an object under a name, others call its methods.

Only tasks of the same user reach it, and holders of the cluster's token: see actor.proto for how
they prove it.
"""

from iris.actor.host import host
from iris.actor.outcome import ActorError
from iris.actor.proxy import ActorCaller, ActorProxy, connect

__all__ = ["ActorCaller", "ActorError", "ActorProxy", "connect", "host"]
