"""Values that travel between the rooms: frozen, without I/O and without a clock."""
