"""The cluster's shell, against protocols in memory and against a real Redis."""
