"""Frozen work done once: where a model is cut, and how its features are kept."""
