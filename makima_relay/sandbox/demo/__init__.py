"""The demo: a stand-in server, the real relay and two stand-in daemons, each its own process, at work for a while.

:mod:`~makima_relay.sandbox.demo.scenes` says what is to be done and how it has to end,
:mod:`~makima_relay.sandbox.demo.starting` says what takes part,
:mod:`~makima_relay.sandbox.demo.household` starts and stops the processes,
:mod:`~makima_relay.sandbox.demo.watch` asks server and relay how far it is,
:mod:`~makima_relay.sandbox.demo.screen` and :mod:`~makima_relay.sandbox.demo.summary` show it, and
:mod:`~makima_relay.sandbox.demo.performance` is the order of all that.
"""
