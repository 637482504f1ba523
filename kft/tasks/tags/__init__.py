"""Tags of words: their schemes, how they are read, and which of them can follow each other."""
