"""Managers: the live records of each kind and the operations of its domain."""

from statestore.managers.conversation_limits import ConversationLimits
from statestore.managers.conversation_search import MessageHit
from statestore.managers.conversation_statistics import (
    ConversationStatistics,
    ConversationTotals,
)
from statestore.managers.conversation_texts import estimated_tokens
from statestore.managers.conversation_upkeep import Trimmed
from statestore.managers.conversations import Conversation, ConversationManager
from statestore.managers.focus import Focus, FocusChain, FocusManager
from statestore.managers.focus_records import FocusLimits
from statestore.managers.focus_statistics import FocusStatistics
from statestore.managers.instructions import Instruction, parse_instructions
from statestore.managers.leases import Lease
from statestore.managers.log_entries import LogEntry
from statestore.managers.logs import LogManager, SessionLog
from statestore.managers.manager import Manager
from statestore.managers.messages import (
    Message,
    Part,
    ToolCall,
    image_part,
    text_part,
    tool_result_part,
    tool_use_part,
)
from statestore.managers.queue_reports import (
    QueueProgress,
    QueueStats,
    ResumeReport,
    RunReport,
    SkippedTask,
)
from statestore.managers.reports import Report, ReportManager
from statestore.managers.session_records import (
    SESSION_TRANSITIONS,
    Session,
    SessionLimits,
    SessionMode,
    SessionStatus,
    wants_project_and_name,
)
from statestore.managers.session_statistics import SessionStatistics
from statestore.managers.sessions import SessionManager
from statestore.managers.task_types import TASK_TYPES, TYPE_ALIASES, detect_type, type_named
from statestore.managers.tasks import Progress, Task, TaskManager, TaskStatus
from statestore.models.documents import FrozenDict
from statestore.models.problems import Problem
from statestore.models.sequences import Items
from statestore.records.fields import extra_field, items_field
from statestore.records.own_types import OwnType
from statestore.records.tags import tagged
from statestore.records.validating import View

__all__ = [
    "SESSION_TRANSITIONS",
    "TASK_TYPES",
    "TYPE_ALIASES",
    "Conversation",
    "ConversationLimits",
    "ConversationManager",
    "ConversationStatistics",
    "ConversationTotals",
    "Focus",
    "FocusChain",
    "FocusLimits",
    "FocusManager",
    "FocusStatistics",
    "FrozenDict",
    "Instruction",
    "Items",
    "Lease",
    "LogEntry",
    "LogManager",
    "Manager",
    "Message",
    "MessageHit",
    "OwnType",
    "Part",
    "Problem",
    "Progress",
    "QueueProgress",
    "QueueStats",
    "Report",
    "ReportManager",
    "ResumeReport",
    "RunReport",
    "Session",
    "SessionLimits",
    "SessionLog",
    "SessionManager",
    "SessionMode",
    "SessionStatistics",
    "SessionStatus",
    "SkippedTask",
    "Task",
    "TaskManager",
    "TaskStatus",
    "ToolCall",
    "Trimmed",
    "View",
    "detect_type",
    "estimated_tokens",
    "extra_field",
    "image_part",
    "items_field",
    "parse_instructions",
    "tagged",
    "text_part",
    "tool_result_part",
    "tool_use_part",
    "type_named",
    "wants_project_and_name",
]
