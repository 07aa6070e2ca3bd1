"""Tests of the store, on temporary files."""
