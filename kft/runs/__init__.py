"""Crash safety of runs: commits of their state, locks, and handling of signals."""
