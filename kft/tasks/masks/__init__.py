"""Semantic segmentation: mask files, targets, decoders, loss and metric, and drawn masks."""
