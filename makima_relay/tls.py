"""TLS in both directions: what the relay shows of itself, and whom it trusts. Both can be read again while it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
from OpenSSL import SSL, crypto
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLContextFactory,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    DiffieHellmanParameters,
    TLSVersion,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.filepath import FilePath
from zope.interface import implementer

#: What both directions speak: 1.2 and above.
OLDEST: Final = TLSVersion.TLSv1_2
_CERTIFICATE: Final = re.compile(b"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class TLSFilesError(Exception):
    """A file of keys or certificates cannot be used; the text is one line that names it and holds nothing of it."""


@attrs.frozen
class CertificateFiles:
    """The files of an ``ssl:`` endpoint, all PEM.

    :ivar certificate: the relay's own, which others may follow that lead to an authority.
    :ivar key: its private key.
    :ivar chain: further certificates that lead to an authority.
    :ivar dh_parameters: for DHE ciphers.
    """

    certificate: Path
    key: Path
    chain: Path | None = None
    dh_parameters: Path | None = None

    def content(self) -> tuple[bytes, ...]:
        """What is in the files.

        :raises TLSFilesError: when one cannot be read.
        """
        found = (self.certificate, self.key, self.chain, self.dh_parameters)
        return tuple(_read(path) for path in found if path is not None)

    def load(self) -> CertificateOptions:
        """Make of the files what a handshake needs.

        :raises TLSFilesError: when one cannot be used.
        """
        own, *others = _certificates(self.certificate)
        if self.chain is not None:
            others += _certificates(self.chain)
        options = CertificateOptions(
            privateKey=self._private_key(),
            certificate=own,
            extraCertChain=others,
            dhParameters=self._dh_parameters(),
            raiseMinimumTo=OLDEST,
        )
        try:
            options.getContext()
        except (SSL.Error, crypto.Error, ValueError) as error:
            raise TLSFilesError(
                f"{str(self.certificate)!r} and {str(self.key)!r} cannot be used together: {_reason(error)}"
            ) from None
        return options

    def _dh_parameters(self) -> Any:
        if self.dh_parameters is None:
            return None
        return DiffieHellmanParameters.fromFile(FilePath(str(self.dh_parameters)))

    def _private_key(self) -> crypto.PKey:
        try:
            # With a passphrase, even an empty one, OpenSSL does not ask the terminal for it.
            return crypto.load_privatekey(crypto.FILETYPE_PEM, _read(self.key), b"")
        except (crypto.Error, ValueError, TypeError):
            raise TLSFilesError(f"{str(self.key)!r} has no private key without a passphrase, in PEM") from None


@implementer(IOpenSSLServerConnectionCreator, IOpenSSLContextFactory)
class ServingCertificate:
    """The certificate that the relay shows to daemons and HTTP clients.

    :param files: where it is.
    :raises TLSFilesError: when it cannot be used.
    """

    def __init__(self, files: CertificateFiles) -> None:
        self.files = files
        self._content = files.content()
        self._options = files.load()

    def getContext(self) -> SSL.Context:
        """What the next handshake goes by; Twisted asks for it before it listens."""
        return self._options.getContext()

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make the TLS connection of a client.

        Only what is made here knows its protocol, which Twisted has to find when the client offers some (RFC 7301), as
        all browsers do.
        """
        return self._options.serverConnectionForTLS(tlsProtocol)

    def read_again(self) -> bool:
        """Take what is in the files now, if all of it can be used.

        :return: whether it is anything new.
        :raises TLSFilesError: when it cannot be used; then all stays as it was.
        """
        content = self.files.content()
        if content == self._content:
            return False
        self._options = self.files.load()
        self._content = content
        return True


@implementer(IOpenSSLClientConnectionCreator)
class ServerTrust:
    """Verifies a server: its chain and its host name.

    :param host: the name or address that the certificate has to be for.
    :param authorities: a file of certificates to trust; none for the system's.
    :raises TLSFilesError: when the file cannot be used.
    :raises UnicodeError: when no certificate can be for the host.
    """

    def __init__(self, host: str, authorities: Path | None) -> None:
        self._host = host
        self._authorities = authorities
        self._content = b"" if authorities is None else _read(authorities)
        self._options = self._load()

    def _load(self) -> Any:
        trust = platformTrust() if self._authorities is None else _trust(self._authorities)
        return optionsForClientTLS(self._host, trustRoot=trust, extraCertificateOptions={"raiseMinimumTo": OLDEST})

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make the TLS connection of one attempt."""
        connection: SSL.Connection = self._options.clientConnectionForTLS(tlsProtocol)
        return connection

    def read_again(self) -> bool:
        """Trust from the next attempt on what is in the file now, if it can be used.

        :return: whether it is anything new.
        :raises TLSFilesError: when it cannot be used; then all stays as it was.
        """
        content = b"" if self._authorities is None else _read(self._authorities)
        if content == self._content:
            return False
        self._options = self._load()
        self._content = content
        return True


@implementer(IOpenSSLClientConnectionCreator)
class PinnedCertificate:
    """Verifies that a server of this machine shows a certificate that is known, whatever names are in it.

    :param path: the file that begins with the certificate.
    :raises TLSFilesError: when it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._known = _certificates(path)[0].digest("sha256")
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_2_VERSION)
        self._context.set_verify(SSL.VERIFY_PEER, self._is_known)

    def _is_known(self, _: SSL.Connection, shown: crypto.X509, _error: int, depth: int, _is_well: int) -> bool:
        # What stands behind it does not matter.
        return depth > 0 or shown.digest("sha256") == self._known

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Make the TLS connection of one attempt."""
        return SSL.Connection(self._context, None)


def certificate_files(members: Mapping[str, str]) -> CertificateFiles:
    """The files of an ``ssl:`` endpoint.

    :param members: what its description says, by the names that Twisted gives them.
    """
    # Absolute, because they are read again when the process may be in another directory.
    paths = {name: Path(value).absolute() for name, value in members.items()}
    key = paths.get("privateKey", Path("server.pem").absolute())
    return CertificateFiles(paths.get("certKey", key), key, paths.get("extraCertChain"), paths.get("dhParameters"))


#: Reasons of OpenSSL's that people have to look up.
_IN_WORDS: Final = {
    "certificate verify failed": (
        "the server's certificate is not trusted: it is self-signed, expired, or of an unknown authority"
    ),
    "wrong version number": "the server does not speak TLS on this port",
    "packet length too long": "the server does not speak TLS on this port",
    "tlsv1 alert protocol version": "the server has no version of TLS from 1.2 on",
    "unsupported protocol": "the server has no version of TLS from 1.2 on",
    "unexpected eof while reading": "the server ended the handshake",
}


def describe_tls(error: SSL.Error) -> str:
    """Say in a few words why a handshake failed."""
    reason = _reason(error)
    return "TLS: " + _IN_WORDS.get(reason, reason)


def _reason(error: Exception) -> str:
    """The first of OpenSSL's reasons; it has no words for some."""
    found = error.args[0] if error.args else None
    if isinstance(found, list):
        return str(found[0][-1]) if found else "handshake failed"
    return str(error) or "handshake failed"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TLSFilesError(f"{str(path)!r} cannot be read: {error.strerror}") from None


def _certificates(path: Path) -> list[crypto.X509]:
    try:
        found = [Certificate.loadPEM(block + b"\n").original for block in _CERTIFICATE.findall(_read(path))]
    except (crypto.Error, ValueError):
        raise TLSFilesError(f"{str(path)!r} has a certificate that cannot be read") from None
    if not found:
        raise TLSFilesError(f"{str(path)!r} has no certificate; it takes a file of PEM certificates")
    return found


def _trust(path: Path) -> Any:
    return trustRootFromCertificates([Certificate(each) for each in _certificates(path)])
