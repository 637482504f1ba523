"""Tagging: schemes of tags, files, targets, layers, F1 of entities, and decoding."""
