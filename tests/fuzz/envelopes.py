"""JSON from daemons and from the server: whatever it is, it is read or refused, and both readings agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from makima_relay.admission import Admission, Refusal, Welcome
from makima_relay.core.from_daemons import ReportReader, read_report
from makima_relay.core.from_server import _read_command_carefully, read_command
from makima_relay.core.members import LONGEST_NAME, LONGEST_TASK_ID, LONGEST_TEXT, InvalidMessageError
from makima_relay.core.messages import Heartbeat

_admission = Admission("key")


def _outcome(reader: Callable[[bytes], Any], payload: bytes) -> Any:
    try:
        return reader(payload)
    except InvalidMessageError as refusal:
        return str(refusal)


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _check(message: Any, payload: bytes) -> None:
    """What was read holds the very bytes that came, and nothing that cannot be kept."""
    if isinstance(message, str):
        assert message.isprintable(), message
        assert len(message) < 200, message
        return
    assert getattr(message, "payload", payload) is payload
    ids = message.active_tasks or () if isinstance(message, Heartbeat) else [getattr(message, "task_id", None)]
    for task_id in ids:
        assert task_id is None or 1 <= len(task_id.encode()) <= 4 * LONGEST_TASK_ID
    for member in ("error", "name", "code", "message"):
        text = getattr(message, member, None)
        assert text is None or len(text.encode()) <= 4 * LONGEST_TEXT


def report(payload: bytes) -> None:
    """What an authenticated daemon says."""
    message = _outcome(read_report, payload)
    _check(message, payload)
    # Only text reaches the relay; what is none is refused at the latest by whoever looks at it.
    if _is_text(payload):
        assert message == _outcome(ReportReader()._read_carefully, payload), message


def command(payload: bytes) -> None:
    """What the server says."""
    message = _outcome(read_command, payload)
    _check(message, payload)
    if _is_text(payload):
        assert message == _outcome(_read_command_carefully, payload), message


def hello(payload: bytes) -> None:
    """What a daemon says first."""
    for header_key in (None, "key"):
        decision = _admission.decide(payload, header_key)
        if isinstance(decision, Welcome):
            names = (decision.hello.machine_id, decision.hello.hostname)
            assert all(1 <= len(name.encode()) <= 4 * LONGEST_NAME for name in names), names
        else:
            assert isinstance(decision, Refusal)
            assert decision.code in (4400, 4401), decision
