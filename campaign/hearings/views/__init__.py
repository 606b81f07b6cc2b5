"""The pages of this slice: one file for each group of people who see them."""
