"""Three short transcripts for the demonstration, one of each kind that can be imported."""

from __future__ import annotations

import json
from collections.abc import Mapping

_TRAJECTORY = {
    "environment": "tide-table",
    "history": [
        {"role": "system", "content": "You mend programs. Answer with one command at a time."},
        {"role": "user", "content": "`tides --port Brest` prints yesterday's high water. Mend it."},
        {
            "role": "assistant",
            "content": "The date may be taken before the time zone is known. I look there first.",
            "thought": "The date may be taken before the time zone is known.",
            "action": "grep -n today tides/clock.py",
        },
        {"role": "user", "content": "14:    today = datetime.utcnow().date()"},
        {
            "role": "assistant",
            "content": "The port's own zone decides what day it is.",
            "action": "sed -i 's/utcnow()/now(port.zone)/' tides/clock.py && pytest -q",
        },
        {"role": "user", "content": "31 passed in 0.84s"},
    ],
    "info": {"exit_status": "submitted", "model_stats": {"api_calls": 2, "tokens_sent": 1841}},
}

_SESSION = "5f0c7a52-93be-4d1c-8a77-6f2f1f5f9e01"


def _line(uuid: str, parent: str | None, second: int, message: object, role: str) -> object:
    return {
        "parentUuid": parent,
        "sessionId": _SESSION,
        "type": role,
        "cwd": "/home/ada/orchard",
        "version": "2.0.1",
        "message": message,
        "uuid": uuid,
        "timestamp": f"2026-03-02T08:15:{second:02d}.250Z",
    }


_CLAUDE_LINES = (
    {"type": "summary", "summary": "Sorting the harvest report", "leafUuid": "a4"},
    _line(
        "a1",
        None,
        1,
        {"role": "user", "content": "Sort the harvest report by weight, heaviest first."},
        "user",
    ),
    _line(
        "a2",
        "a1",
        4,
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I read the report before I change it."},
                {
                    "type": "tool_use",
                    "id": "use_1",
                    "name": "Read",
                    "input": {"file_path": "/home/ada/orchard/report.py"},
                },
            ],
            "usage": {"input_tokens": 412, "output_tokens": 58},
        },
        "assistant",
    ),
    _line(
        "a3",
        "a2",
        5,
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "use_1",
                    "content": "rows.sort(key=lambda row: row.name)",
                }
            ],
        },
        "user",
    ),
    _line(
        "a4",
        "a3",
        9,
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "Done: it sorts by weight now, 🍏 first."}],
        },
        "assistant",
    ),
)

_CHAT = {
    "id": "chat-lighthouse",
    "title": "When is the lamp lit?",
    "messages": [
        {"role": "system", "content": "You know the tools of the harbour office."},
        {"role": "user", "content": "When is the lamp of the lighthouse lit tonight?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "sunset", "arguments": '{"place": "harbour"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '{"sunset": "21:47"}'},
        {"role": "assistant", "content": "At 21:17, half an hour before sunset."},
    ],
}

SAMPLES: Mapping[str, str] = {
    "tide-table.traj": json.dumps(_TRAJECTORY, ensure_ascii=False, indent=2) + "\n",
    "orchard.jsonl": "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in _CLAUDE_LINES),
    "lighthouse.json": json.dumps(_CHAT, ensure_ascii=False, indent=2) + "\n",
}
"""File name → content: a SWE-agent trajectory, a Claude Code session, a chat."""

SAMPLE_MESSAGES = 6 + 4 + 5
"""The messages in all of them."""
