"""The tests of makima-relay."""
