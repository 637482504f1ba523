"""Boxes around things: their files, the layers that find them, and how they are compared and drawn."""
