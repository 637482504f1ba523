"""Masks of classes: their files, the layers that make them, and how they are drawn."""
