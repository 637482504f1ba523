"""Reading of data from folders, tables, arrays, TFDS and streams, and deterministic batches."""
