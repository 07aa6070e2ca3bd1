"""Several relays that work as one, through Redis (``cluster.md``): the shell around txredisapi.

Nothing here decides about tasks: it tells the engine who is there and what they sent, and sends what the core decides.
It is imported only where ``--redis`` is set; a relay without it never loads txredisapi.
"""
