"""What is done to the processes, the server and the lines between them."""

from chaos.faults.fault import Fault, World
from chaos.faults.table import FAULTS, FaultName, chosen

__all__ = ["FAULTS", "Fault", "FaultName", "World", "chosen"]
