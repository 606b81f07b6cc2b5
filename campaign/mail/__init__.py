"""One e-mail out of the door, once: outbox rows, claiming, transports, suppression, webhook.

It owns batches, chunks, deliveries, attempts, provider events and suppressions. It must not know
what a person, a petition or a mailing is: owners and people are opaque ids to it.
"""
