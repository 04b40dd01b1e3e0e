"""Contests: people say, blind and in the same queue as ever, whether a policy beats another."""
