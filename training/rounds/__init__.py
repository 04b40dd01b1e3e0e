"""The loop: rounds that sample, ask for labels, train, evaluate and promote."""
