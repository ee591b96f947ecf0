"""Tasks: pieces of work, their state, progress and output."""

from statestore.instructions.parsing import Instruction, parse_instructions
from statestore.instructions.types import TASK_TYPES, TYPE_ALIASES, detect_type, type_named
from statestore.managers.log_entries import LogEntry
from statestore.managers.tasks.lease import Lease
from statestore.managers.tasks.manager import TaskManager
from statestore.managers.tasks.order import DependencyProblem
from statestore.managers.tasks.output import FoundResult, result_in
from statestore.managers.tasks.priorities import PRIORITIES, priority_name
from statestore.managers.tasks.queue_reports import (
    QueueProgress,
    QueueStats,
    ResumeReport,
    RunReport,
    SkippedTask,
)
from statestore.managers.tasks.records import Delegation, Progress, Task, TaskChange
from statestore.managers.tasks.statistics import TaskStatistics
from statestore.managers.tasks.statuses import (
    NEW_STATUSES,
    STATUS_ALIASES,
    TASK_TRANSITIONS,
    TaskStatus,
    status_of,
)

__all__ = [
    "NEW_STATUSES",
    "PRIORITIES",
    "STATUS_ALIASES",
    "TASK_TRANSITIONS",
    "TASK_TYPES",
    "TYPE_ALIASES",
    "Delegation",
    "DependencyProblem",
    "FoundResult",
    "Instruction",
    "Lease",
    "LogEntry",
    "Progress",
    "QueueProgress",
    "QueueStats",
    "ResumeReport",
    "RunReport",
    "SkippedTask",
    "Task",
    "TaskChange",
    "TaskManager",
    "TaskStatistics",
    "TaskStatus",
    "detect_type",
    "parse_instructions",
    "priority_name",
    "result_in",
    "status_of",
    "type_named",
]
