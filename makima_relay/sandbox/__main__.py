"""For ``python -m makima_relay.sandbox``."""

from makima_relay.cli.sandbox import sandbox

sandbox(prog_name="makima-relay sandbox")
