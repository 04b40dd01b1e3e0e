"""The whole application as people start it, for tests that go through a browser."""
