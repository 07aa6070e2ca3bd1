"""Tests of the benchmarks: each in its smallest form, and what they make of it."""
