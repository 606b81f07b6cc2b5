"""Events: from an idea to everybody who said they come, reminded at the right hour.

It owns events, their dates, answers (RSVPs), seats and the waiting line, hosts, shifts, reminders
and calendar files. It must not know hearings, check-in, buddies or sit-ins, which stand on it.
"""
