"""Tasks: pieces of work, their state, progress and output."""

from statestore.instructions.parsing import Instruction, parse_instructions
from statestore.instructions.types import TASK_TYPES, TYPE_ALIASES, detect_type, type_named
from statestore.managers.log_entries import LogEntry
from statestore.managers.tasks.lease import Lease
from statestore.managers.tasks.manager import TaskManager
from statestore.managers.tasks.queue_reports import (
    QueueProgress,
    QueueStats,
    ResumeReport,
    RunReport,
    SkippedTask,
)
from statestore.managers.tasks.records import Progress, Task
from statestore.managers.tasks.statuses import TASK_TRANSITIONS, TaskStatus

__all__ = [
    "TASK_TRANSITIONS",
    "TASK_TYPES",
    "TYPE_ALIASES",
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
    "TaskManager",
    "TaskStatus",
    "detect_type",
    "parse_instructions",
    "type_named",
]
