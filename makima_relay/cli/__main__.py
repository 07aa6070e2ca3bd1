"""For ``python -m makima_relay.cli``."""

from makima_relay.cli import main

main()
