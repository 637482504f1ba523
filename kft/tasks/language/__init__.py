"""Next-token prediction: parts of texts, files, rows of tokens, loss and metric."""
