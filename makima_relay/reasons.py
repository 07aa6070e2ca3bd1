"""Why a connection failed, in words."""

from __future__ import annotations

import os

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure

from makima_relay.core.journal import printable
from makima_relay.tls import describe_tls


def describe(failure: Failure) -> str:
    """Say in a few words why a connection failed, without a traceback."""
    error = failure.value
    if isinstance(error, VerificationError):
        return "TLS: the certificate is not for this host name"
    if isinstance(error, SSL.Error):
        return describe_tls(error)
    if isinstance(error, ConnectError) and isinstance(error.osError, int):
        # Twisted says it twice, and with a full stop between.
        return os.strerror(error.osError)
    return printable(failure.getErrorMessage())
