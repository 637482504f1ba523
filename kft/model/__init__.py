"""What can be known of a Keras model: its graph, its blocks, its weights, its precision."""
