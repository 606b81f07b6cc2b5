"""The pages of this slice: all for the console."""
