"""Tests of kft and its recipes."""

import gc

# Imports and traced graphs make millions of objects that stay: collecting at Python's thresholds
# takes a twentieth of the time.
gc.set_threshold(20_000, 20, 20)
