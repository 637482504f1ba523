"""The cache of frozen features: where a model is cut, and how the outputs are stored."""
