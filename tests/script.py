"""A scripted run of a relay that goes through everything that saves; it is made to be cut short anywhere.

The script moves the peers of a relay on a :class:`~tests.stage.Stage`. It says nothing of what the relay does: what
must hold is in :mod:`tests.book`.
"""

from __future__ import annotations

from makima_relay.core.policy import LossPolicy, Policy
from tests.stage import Stage

#: Both loss policies. No daemon is thought unhealthy, however long the script takes.
POLICIES = tuple(Policy(on_loss=on_loss, health_timeout=10_000.0) for on_loss in LossPolicy)
#: All tasks that the script names.
TASKS = (*(f"t{number}" for number in range(1, 13)), "strange", "stranger")


def play(stage: Stage) -> None:
    """Play the whole script: two runs of a relay, each of which stops cleanly."""
    stage.begin()
    _tasks_come_and_go(stage)
    _reports_wait(stage)
    _a_daemon_returns(stage)
    _a_daemon_is_lost_while_the_server_is_away(stage)
    stage.relay_stops()
    stage.begin()
    _what_was_left_goes_on(stage)
    _tasks_of_old(stage)
    stage.relay_stops()


def _tasks_come_and_go(stage: Stage) -> None:
    """With room and without; one is withdrawn while it waits, for another a command waits."""
    stage.server_connects()
    stage.daemon_connects("m1", 1)
    for task_id in ("t1", "t2", "t3", "t4"):
        stage.server_sends("spawnTask", task_id)
    stage.peers_ping()
    stage.server_sends("sendInput", "t2")
    stage.server_sends("sendInput", "t1")
    stage.server_sends("killTask", "t3")
    stage.server_sends("sendInput", "t2")
    stage.time_passes(1)
    stage.operator_cancels("t4")
    stage.daemon_sends("m1", "taskOutput", taskId="t1")
    stage.server_proves()
    stage.daemon_sends("m1", "taskComplete", taskId="t1", success=True)
    stage.peers_ping()
    stage.daemon_sends("m1", "taskComplete", taskId="t1", success=False, late=1)
    stage.server_proves(but=1)
    stage.daemon_sends("m1", "taskStatusChange", taskId="t2", newStatus="running")


def _reports_wait(stage: Stage) -> None:
    """They wait for proof, some for so long that they are kept; proof comes for some, then for more."""
    stage.time_passes(0.03)
    stage.daemon_sends("m1", "taskOutput", taskId="t2")
    stage.time_passes(0.03)
    stage.daemon_sends("m1", "taskOutput", taskId="t2")
    stage.time_passes(0.1)
    stage.daemon_sends("m1", "taskOutput", taskId="t2")
    stage.server_proves(but=2)
    stage.time_passes(0.06)
    stage.daemon_sends("m1", "news")
    stage.server_proves(but=1)
    stage.daemon_sends("m1", "taskComplete", taskId="t2", success=False, error="boom")
    stage.daemon_sends("m1", "news")
    stage.time_passes(0.2)
    stage.server_proves(but=1)
    stage.time_passes(1)
    stage.server_proves()


def _a_daemon_returns(stage: Stage) -> None:
    """Commands wait for it. It has some of its tasks still, and it is replaced by itself."""
    stage.daemon_connects("m2", 3)
    stage.operator_drains("m1")
    for task_id in ("t5", "t6", "t7"):
        stage.server_sends("spawnTask", task_id)
    stage.time_passes(0.5)
    stage.daemon_sends("m2", "taskOutput", taskId="t5")
    stage.daemon_leaves("m2")
    stage.server_sends("sendInput", "t5")
    stage.time_passes(1)
    stage.operator_cancels("t6")
    stage.server_sends("sendInput", "t7")
    stage.server_sends("sendInput", "t5")
    stage.time_passes(20)
    stage.daemon_connects("m2", 3)
    stage.daemon_sends("m2", "heartbeat", activeTasks=["t5", "t7"])
    stage.daemon_connects("m2", 3)
    stage.daemon_sends("m2", "taskProgress", taskId="t7")
    stage.daemon_sends("m2", "heartbeat", activeTasks=["t5", "t7"])
    stage.daemon_sends("m1", "taskOutput", taskId="t7", refused=1)
    stage.daemon_sends("m2", "taskStatusChange", taskId="t5", newStatus="cancelled")
    stage.server_proves(but=1)


def _a_daemon_is_lost_while_the_server_is_away(stage: Stage) -> None:
    """Its grace runs out, and what came meanwhile goes to the server when that is back."""
    stage.server_sends("spawnTask", "t8")
    stage.server_leaves()
    stage.daemon_sends("m2", "taskOutput", taskId="t7")
    stage.operator_drains("m1", draining=False)
    stage.daemon_leaves("m2")
    stage.time_passes(80)
    stage.daemon_sends("m1", "news")
    stage.server_connects()
    stage.daemon_sends("m1", "news")
    stage.server_proves(but=2)
    stage.server_sends("spawnTask", "t9")
    stage.server_sends("spawnTask", "t10")
    stage.server_sends("sendInput", "t10")
    stage.daemon_connects("m3", 1)
    stage.operator_drains("m3")
    for task_id in ("t11", "t12"):
        stage.server_sends("spawnTask", task_id)
    stage.server_sends("sendInput", "t12")
    stage.time_passes(0.5)
    stage.daemon_sends("m1", "news")


def _what_was_left_goes_on(stage: Stage) -> None:
    """What waited in the store is sent, and what comes meanwhile goes behind it."""
    stage.daemon_connects("m3", 5)
    stage.daemon_sends("m3", "news")
    stage.server_connects()
    stage.daemon_sends("m3", "news")
    stage.server_proves(but=1)
    stage.server_leaves()
    stage.daemon_sends("m3", "news")
    stage.server_connects()
    stage.server_proves()
    stage.operator_drains("m3", draining=False)
    stage.daemon_connects("m1", 10)
    stage.daemon_sends("m1", "heartbeat", activeTasks=[])


def _tasks_of_old(stage: Stage) -> None:
    """Some that have finished in an earlier run, some that no relay knows: all of them are looked up."""
    stage.daemon_sends("m1", "taskOutput", taskId="t1")
    stage.daemon_sends("m1", "taskComplete", taskId="t2", success=True, late=1)
    stage.daemon_sends("m3", "taskOutput", taskId="strange")
    stage.daemon_sends("m3", "taskComplete", taskId="stranger", success=True)
    stage.peers_ping()
    stage.server_sends("sendInput", "t3")
    stage.server_sends("spawnTask", "t1")
    stage.server_sends("spawnTask", "t4")
    stage.time_passes(0.1)
    stage.server_proves(but=1)
    stage.daemon_leaves("m3")
    stage.server_sends("sendInput", "strange")
    stage.time_passes(5)
    stage.daemon_sends("m1", "news")
