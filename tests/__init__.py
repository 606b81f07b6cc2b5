"""Tests: rows, outbox and what a person reads. Only transport, clock and randomness are replaced."""
