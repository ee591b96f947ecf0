"""Instructions: what somebody has written in plain words, taken apart into what it asks for."""
