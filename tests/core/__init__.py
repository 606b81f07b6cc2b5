"""What all slices stand on: settings, clock, tokens, database, worker."""
