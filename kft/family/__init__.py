"""The parts of a recipe: its hooks, the steps of a fit, and the run directory."""
