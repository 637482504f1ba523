"""What survives a killed process: commits of a run's state, locks, and how signals end a run."""
