"""Lists ``makima-relay`` among the services of ``twistd``."""

from twisted.application.service import ServiceMaker

makima_relay = ServiceMaker(
    "makima-relay",
    "makima_relay.options",
    "The self-hosted edge between a Makima server and its daemons",
    "makima-relay",
)
