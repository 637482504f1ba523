"""Analysis of Keras models: graph, blocks, heads, flags, weights and precision."""
