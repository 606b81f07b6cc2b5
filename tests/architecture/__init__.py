"""The rules that no single test of a slice would notice being broken."""
