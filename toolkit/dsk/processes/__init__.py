"""Child processes: started from argument lists, never a shell, and none outlives this process."""

from dsk.processes.child import Child
from dsk.processes.programs import Finished, capture, find, follow, worker

__all__ = ["Child", "Finished", "capture", "find", "follow", "worker"]
