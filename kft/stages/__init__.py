"""What trains when, at which rate: stages, plans, their table, and the optimizer of groups."""
