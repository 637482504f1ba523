"""What a model has learnt: explanations, robustness, rates, and what was forgotten."""
