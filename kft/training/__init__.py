"""One fit over stages: a loop that trains parts of a model on kept features."""
