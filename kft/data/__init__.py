"""From a person's source - folder, table, TFDS, arrays, streams - to deterministic batches."""
