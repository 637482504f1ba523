"""Insight into a model: explanations, robustness, learning rates, and forgetting."""
