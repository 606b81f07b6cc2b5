"""Campaign: organize people to keep a clinic, a library or a service open.

Importing this package builds nothing; `campaign.app.create_app` does.
"""
