"""Tests of the ``makima-relay`` command and of ``setup.sh``."""
