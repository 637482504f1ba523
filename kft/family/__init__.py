"""What a recipe is made of: hooks, a fit from plan to page, a run directory and what it holds."""
