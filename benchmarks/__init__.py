"""Measures what the relay costs, beside other relays that carry the same messages: ``python -m benchmarks``."""

KEY = "benchmark-key"


class BenchmarkError(Exception):
    """What was sent did not arrive as it should have, or a relay did not start: a figure would mean nothing."""
