"""Tests with the real ``twistd`` process and a client library that is not the relay's own."""
