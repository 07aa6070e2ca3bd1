"""Measures what the relay costs: CPU per message, memory per connection."""
