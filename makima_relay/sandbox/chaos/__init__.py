"""The chaos experiment: real relays between stand-in servers and stand-in daemons, everything of which fails.

A schedule made from a seed says what fails when; a ledger keeps the books of every report and task and tells at the
end what was lost, and whether it may have been. It measures what ``protocol.md`` and ``cluster.md`` promise, and
nothing else.
"""
