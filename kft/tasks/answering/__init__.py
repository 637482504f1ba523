"""What answering questions from a context needs: files, labels, layers, and how answers are counted."""
