"""The core decides: plain, synchronous Python that is told what happened and answers with effects.

It knows no Twisted, no socket, no clock and no database. Imports point down only::

    relay
    cluster  from_origins  from_holders
    commands  reports  takeovers
    losses
    hosting
    state
    flow
    fleet  peers  ledger  lanes  outbox  mailbox  directory
    effects  entries
    journal  messages  composer
    members  spelling  tasks
"""
