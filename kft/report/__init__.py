"""A run on one HTML page: offline, light and dark, for phones and screen readers; and progress bars.

It imports nothing: a process without Keras shows a bar too.
"""
