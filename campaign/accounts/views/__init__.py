"""The pages of this slice: the log-in, and one's own account in the console."""
