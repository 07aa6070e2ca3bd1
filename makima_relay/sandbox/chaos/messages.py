"""The numbered messages of the experiment."""

from __future__ import annotations

from typing import Final

import msgspec

#: About as long as a line of output with what is around it, in bytes.
_SIZE: Final = 200
#: Of so many reports one tells of progress.
_PROGRESS_EVERY: Final = 10


class Order(msgspec.Struct, rename="camel", tag="spawnTask"):
    """server -> daemon: a task.

    :ivar reports: how many reports it is to make.
    """

    task_id: str
    reports: int
    task_name: str = "chaos"


class Arrival(msgspec.Struct, rename="camel"):
    """daemon or relay -> server: what came.

    :ivar run_id: the run that it is of; none when the relay itself says it.
    :ivar n: its number in the run.
    :ivar code: what an error says.
    :ivar active_tasks: what a heartbeat lists.
    """

    type: str
    task_id: str | None = None
    run_id: int | None = None
    n: int = 0
    success: bool | None = None
    code: str | None = None
    active_tasks: list[str] = []


encode_order = msgspec.json.Encoder().encode
read_order = msgspec.json.Decoder(Order).decode
read_arrival = msgspec.json.Decoder(Arrival).decode


def report(task_id: str, run_id: int, number: int, *, last: bool) -> bytes:
    """Make a report.

    :param last: whether it ends the task.
    """
    if last:
        head = f'{{"type":"taskComplete","taskId":"{task_id}","runId":{run_id},"n":{number},"success":true,"pad":"'
    else:
        kind = "taskProgress" if number % _PROGRESS_EVERY == 0 else "taskOutput"
        head = f'{{"type":"{kind}","taskId":"{task_id}","runId":{run_id},"n":{number},"pad":"'
    return f'{head}{"." * (_SIZE - 2 - len(head))}"}}'.encode()
