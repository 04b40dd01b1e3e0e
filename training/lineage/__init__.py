"""Lineage: from a model to every judgement in it, and from a judgement to every model."""
