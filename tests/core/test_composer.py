"""Spelling types, and building the relay's own messages."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from makima_relay.core.composer import COMPOSERS, Composer
from makima_relay.core.from_daemons import read_report
from makima_relay.core.from_server import read_command
from makima_relay.core.spelling import WireCase, case_of, folded


class SpellingTests(SynchronousTestCase):
    """Types in each case."""

    def test_each_case_spells_one_and_two_words(self) -> None:
        """The three of ``--wire-case``, and that of a daemon that shouts."""
        for case, one, two in (
            (WireCase.CAMEL, "heartbeat", "taskComplete"),
            (WireCase.PASCAL, "Heartbeat", "TaskComplete"),
            (WireCase.SNAKE, "heartbeat", "task_complete"),
            (WireCase.UPPER, "HEARTBEAT", "TASK_COMPLETE"),
        ):
            self.assertEqual((case.spell("heartbeat"), case.spell("task", "complete")), (one, two))

    def test_all_spellings_fold_to_one(self) -> None:
        """What the relay writes it would read."""
        self.assertEqual({folded(case.spell("task", "complete")) for case in WireCase}, {"taskcomplete"})

    def test_a_peers_case_is_told_from_its_authenticate(self) -> None:
        """Anything that is neither shouted nor capitalised gets camelCase."""
        for spelling, case in (
            ("authenticate", WireCase.CAMEL),
            ("aUTHENTICATE", WireCase.CAMEL),
            ("_authenticate", WireCase.CAMEL),
            ("Authenticate", WireCase.PASCAL),
            ("AuthentiCate", WireCase.PASCAL),
            ("AUTHENTICATE", WireCase.UPPER),
            ("AUTHEN_TICATE", WireCase.UPPER),
        ):
            self.assertEqual(case_of(spelling), case, spelling)

    def test_the_settings_name_three_cases(self) -> None:
        """``--wire-case`` takes their values."""
        self.assertEqual([WireCase(word) for word in ("camel", "pascal", "snake")], list(WireCase)[:3])


class ComposerTests(SynchronousTestCase):
    """Each message, in each case."""

    def assertComposed(self, name: str, arguments: tuple[Any, ...], types: str, **members: Any) -> None:
        """A message has the type spelled in each case, and these members in this order.

        :param types: the type in camelCase, PascalCase, snake_case and UPPER_CASE, with blanks between.
        """
        for case, kind in zip(WireCase, types.split(), strict=True):
            payload = getattr(COMPOSERS[case], name)(*arguments)
            expected = json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False)
            self.assertEqual(payload.decode(), expected)

    def test_authenticate(self) -> None:
        """What the relay says first."""
        self.assertComposed(
            "authenticate",
            ("key", "machine", "host", 0),
            "authenticate Authenticate authenticate AUTHENTICATE",
            apiKey="key",
            machineId="machine",
            hostname="host",
            maxConcurrentTasks=0,
        )

    def test_authenticated(self) -> None:
        """The answer to a daemon."""
        types = "authenticated Authenticated authenticated AUTHENTICATED"
        self.assertComposed("authenticated", ("d",), types, daemonId="d")

    def test_error(self) -> None:
        """With the task that it is about, and without."""
        self.assertComposed("error", ("c", "m"), "error Error error ERROR", code="c", message="m")
        self.assertComposed("error", ("c", "m", "t1"), "error Error error ERROR", code="c", message="m", taskId="t1")

    def test_heartbeat(self) -> None:
        """All that is at work, also when that is nothing."""
        types = "heartbeat Heartbeat heartbeat HEARTBEAT"
        self.assertComposed("heartbeat", (["t2", "t1"],), types, activeTasks=["t2", "t1"])
        self.assertComposed("heartbeat", ([],), types, activeTasks=[])

    def test_interrupt_task(self) -> None:
        """With any characters in the id."""
        types = "interruptTask InterruptTask interrupt_task INTERRUPT_TASK"
        self.assertComposed("interrupt_task", ('"é\\\n',), types, taskId='"é\\\n')

    def test_task_failed(self) -> None:
        """The end of a task that no daemon will report."""
        types = "taskComplete TaskComplete task_complete TASK_COMPLETE"
        self.assertComposed("task_failed", ("t1", "lost"), types, taskId="t1", success=False, error="lost")

    def test_what_is_composed_can_be_read(self) -> None:
        """The relay understands itself, in whatever case."""
        for composer in map(Composer, WireCase):
            read_report(composer.heartbeat(["t1"]))
            read_report(composer.task_failed("t1", "lost"))
            read_command(composer.interrupt_task("t1"))
            read_command(composer.error("c", "m"))
            read_command(composer.authenticated("d"))
