"""Conversations: messages in their order."""

from statestore.managers.conversations.limits import ConversationLimits
from statestore.managers.conversations.manager import ConversationManager
from statestore.managers.conversations.message import (
    Message,
    Part,
    ToolCall,
    image_part,
    text_part,
    tool_result_part,
    tool_use_part,
)
from statestore.managers.conversations.records import Conversation
from statestore.managers.conversations.search import MessageHit
from statestore.managers.conversations.statistics import ConversationStatistics, ConversationTotals
from statestore.managers.conversations.texts import estimated_tokens
from statestore.managers.conversations.upkeep import Trimmed

__all__ = [
    "Conversation",
    "ConversationLimits",
    "ConversationManager",
    "ConversationStatistics",
    "ConversationTotals",
    "Message",
    "MessageHit",
    "Part",
    "ToolCall",
    "Trimmed",
    "estimated_tokens",
    "image_part",
    "text_part",
    "tool_result_part",
    "tool_use_part",
]
