"""Tests of what ``deploy/`` and the Dockerfile say, as far as that can be told without an engine or a cluster."""
