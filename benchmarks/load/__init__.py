"""The load: a server and daemons, cheap enough that one core of theirs is enough for any relay on another core.

All frames are built before the clock starts. What arrives is compared with what was sent, byte by byte.
"""
