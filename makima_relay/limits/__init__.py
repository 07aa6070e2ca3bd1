"""What a peer may take of the relay before others would feel it: connections, messages, guesses at keys."""
