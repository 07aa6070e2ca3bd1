"""The ``makima-relay`` command."""


def main() -> None:
    """Run the command."""
