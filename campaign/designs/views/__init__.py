"""The pages of the library and of templates, and the pictures themselves."""
