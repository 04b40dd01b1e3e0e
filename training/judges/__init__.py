"""AI judges: annotators that are models, and what they said of comparisons."""
