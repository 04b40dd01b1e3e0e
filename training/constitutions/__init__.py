"""Constitutions: principles by which a model's replies are criticized, revised and compared."""
