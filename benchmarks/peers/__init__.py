"""The relays that are compared, each as small as it can be while it carries the same messages.

A peer takes one upstream connection to the server, accepts daemons at ``/ws/daemon``, checks their key, answers
``authenticate`` and forwards each text message of theirs verbatim and in order. None keeps anything: no outbox, no
acknowledgement, no database. HAProxy does not even know of messages: it carries each daemon's bytes over a connection
of its own.
"""
