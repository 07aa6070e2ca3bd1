"""Everything that is measured, a module each."""
