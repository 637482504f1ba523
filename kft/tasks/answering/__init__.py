"""Extractive question answering: files, targets, layers, the best spans, and the comparison of answers."""
