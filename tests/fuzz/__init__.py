"""Hostile bytes for every entrance.

A *target* takes any bytes and fails if the relay does anything with them that it must not. ``test_corpus`` tries what
is in ``corpus/``, and a few seeded mutations of it; ``MAKIMA_FUZZ`` is how many times as many (1 if it is not set)::

    MAKIMA_FUZZ=100 trial tests.fuzz

With atheris, which the suite does not need (``pip install -e '.[fuzz]'``), the search is guided by coverage. What a
target fails at is left in ``crash-…``; what belongs into the corpus is copied there by hand::

    python -m tests.fuzz edge -max_total_time=600 /tmp/found
"""
