"""Focus chains: what an agent has its mind on, and had before."""

from statestore.managers.focus.manager import FocusManager
from statestore.managers.focus.records import FOCUS_TYPES, Focus, FocusChain, FocusLimits
from statestore.managers.focus.statistics import FocusStatistics

__all__ = ["FOCUS_TYPES", "Focus", "FocusChain", "FocusLimits", "FocusManager", "FocusStatistics"]
