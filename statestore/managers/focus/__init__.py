"""Focus chains: what an agent has its mind on, and had before."""

from statestore.managers.focus.manager import FocusManager
from statestore.managers.focus.records import Focus, FocusChain, FocusLimits
from statestore.managers.focus.statistics import FocusStatistics

__all__ = ["Focus", "FocusChain", "FocusLimits", "FocusManager", "FocusStatistics"]
