"""The pages of this slice, and how its steps read as sentences."""
