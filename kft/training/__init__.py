"""The training loop over stages, in which parts of a model train on cached features."""
