"""URLs of servers: where a daemon connects, and what of a URL may be shown."""

from __future__ import annotations

from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit, urlunsplit


def daemon_endpoint(server_url: str) -> str:
    """The URL to connect to: ``/ws/daemon`` is appended unless the path ends in it (``protocol.md``, *Upstream* 1).

    :param server_url: a ``ws://`` or ``wss://`` URL.
    """
    parts = urlsplit(server_url)
    path = parts.path.removesuffix("/")
    if not path.endswith("/ws/daemon"):
        path += "/ws/daemon"
    return urlunsplit(parts._replace(path=path))


def shown_url(url: str) -> str:
    """A URL as it may be shown: without user information and query.

    :param url: any text; what is no URL shows as nothing but that.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(no URL)"
    if not parts.netloc:
        return url.rpartition("@")[2].partition("?")[0]
    return urlunsplit(SplitResult(parts.scheme, host, parts.path, "", ""))


def secrets_of(url: str) -> list[str]:
    """What of a URL is not shown: its user information and its query, as they are written and as they are meant."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return [url]
    fields = (field.partition("=") for field in parts.query.split("&"))
    # A field without a value may be a token as well.
    hidden = [parts.username, parts.password, *(value if equals else name for name, equals, value in fields)]
    return [form for each in hidden if each for form in dict.fromkeys((each, unquote(each), unquote_plus(each)))]
