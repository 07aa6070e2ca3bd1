"""The core decides: plain, synchronous Python that is told what happened and answers with effects.

It knows no Twisted, no socket, no clock and no database. Imports point down only::

    relay
    commands  reports  losses
    state
    flow
    fleet  ledger  lanes  outbox  effects
    journal  messages  composer
    members  spelling  tasks
"""
