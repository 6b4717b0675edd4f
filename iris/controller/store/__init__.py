"""What survives the controller: an append-only table of events, and tables of the present state, in
one SQLite file.
"""

from iris.controller.store.changes import Changes, Recovered
from iris.controller.store.copies import restore
from iris.controller.store.database import Database
from iris.controller.store.replay import verify
from iris.controller.store.scaling_memory import StoredScalingMemory
from iris.controller.store.store import Store

__all__ = ["Changes", "Database", "Recovered", "Store", "StoredScalingMemory", "restore", "verify"]
