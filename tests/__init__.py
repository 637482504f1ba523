"""Tests of kft and its recipes."""

import gc

# Imports and traced graphs create millions of permanent objects: collection at Python's default
# thresholds takes a twentieth of the time.
gc.set_threshold(20_000, 20, 20)
