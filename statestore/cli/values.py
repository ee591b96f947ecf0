"""What the library returns, as values that JSON can hold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import StateStoreError
from statestore.models.changes import Stored
from statestore.models.keys import Key
from statestore.models.reports import AbsentRecord, Failure, QuarantinedFile, Report
from statestore.models.times import format_time


def report_value(report: Report) -> dict[str, Any]:
    """Return a report with its fields in the order of its class, failures and notes last."""
    values = {
        field.name: _plain(getattr(report, field.name)) for field in attrs.fields(type(report))
    }
    last = {name: values.pop(name) for name in ("failures", "notes")}
    return values | last


def failure_value(failure: Failure) -> dict[str, Any]:
    """Return a failure: shape {"key": "kind/id" or null, "operation": …, "error": …}."""
    return {
        "key": None if failure.key is None else str(failure.key),
        "operation": failure.operation,
        "error": error_value(failure.error),
    }


def error_value(error: BaseException, exit_code: int | None = None) -> dict[str, Any]:
    """Return an error: shape {"type": its class, "message": its text, "exit_code": …}."""
    if exit_code is None:
        exit_code = error.exit_code if isinstance(error, StateStoreError) else 1
    value: dict[str, Any] = {
        "type": type(error).__name__,
        "message": str(error),
        "exit_code": exit_code,
    }
    failures = getattr(error, "failures", ())
    if failures:
        value["failures"] = [failure_value(one) for one in failures if isinstance(one, Failure)]
    return value


def stored_value(stored: Stored) -> dict[str, Any]:
    """Return a stored record with everything that its file says of it."""
    return {
        "key": str(stored.key),
        "revision": stored.revision,
        "saved_at": format_time(stored.saved_at),
        "schema": stored.schema,
        "format": stored.format,
        "path": stored.path,
        "data": stored.document,
    }


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, Failure):
        return failure_value(value)
    if isinstance(value, Key):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, QuarantinedFile | AbsentRecord):
        return {
            field.name: _plain(getattr(value, field.name)) for field in attrs.fields(type(value))
        }
    return value
