"""Tests of the core: values in, effects out."""
