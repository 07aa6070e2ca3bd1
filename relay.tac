"""For ``twistd -y relay.tac``: a relay that is set up by environment variables alone."""

from makima_relay.application import make_application

application = make_application()
