"""How far AI judges may be trusted: held against people, and what goes to people instead."""
