"""The way from a daemon of the experiment to its relay: it can be shut, and lead to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer


@implementer(IStreamClientEndpoint)
class Door:
    """An endpoint that can be shut.

    :param endpoints: where it may lead.
    :param passed: called when a connection is open.
    :ivar leads_to: the place of the endpoint that it leads to.
    """

    def __init__(self, endpoints: Sequence[IStreamClientEndpoint], leads_to: int, passed: Callable[[], None]) -> None:
        self._endpoints = endpoints
        self._passed = passed
        self.open = True
        self.leads_to = leads_to

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        """Connect, if it is open."""
        if not self.open:
            return fail(Refused())
        return self._endpoints[self.leads_to].connect(protocolFactory).addCallback(self._note)

    def _note(self, protocol: Any) -> Any:
        self._passed()
        return protocol
