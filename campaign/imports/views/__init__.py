"""The pages of this slice: one file for the public, one for the console."""
