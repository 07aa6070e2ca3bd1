"""Run as a script: becomes another program in a session of its own.

So the program leads a process group, and a signal to the group reaches all that it starts. ``spawnProcess`` offers
that only together with a terminal.
"""

import os
import signal
import sys


def main() -> None:
    """Replace this process by a program.

    The arguments are the directory to work in, the program by its absolute path, and its arguments.
    """
    os.setsid()
    # Python ignores these, and what is ignored stays so in the next program: `yes | head` would complain.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    os.chdir(sys.argv[1])
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - a shell is the program's own affair


if __name__ == "__main__":
    main()
