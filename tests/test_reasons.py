"""Why a connection failed, in words."""

from __future__ import annotations

import errno

from twisted.internet.error import ConnectError, getConnectError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from makima_relay.reasons import describe


class ReasonTests(SynchronousTestCase):
    """What an operator reads in the log; those of TLS are tried with its certificates."""

    def test_what_the_system_says_is_said_once(self) -> None:
        """As it says it: it is part of a sentence."""
        for number, words in (
            (errno.ECONNREFUSED, "Connection refused"),
            (errno.EHOSTUNREACH, "No route to host"),
            (errno.ENETUNREACH, "Network is unreachable"),
        ):
            error = getConnectError((number, words))
            self.assertEqual(describe(Failure(error)), words)

    def test_where_the_system_says_nothing_the_error_does(self) -> None:
        """Whatever is in it stays on its line."""
        self.assertEqual(
            describe(Failure(ConnectError(string="no\nway"))), r"An error occurred while connecting: no\nway."
        )
