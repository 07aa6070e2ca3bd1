"""The dashboard in a real browser, with a relay, a stand-in server and daemons."""
