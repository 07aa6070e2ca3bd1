"""makima-relay: the self-hosted edge between a Makima server and its daemons."""

__version__ = "0.1.0"
