"""Texts of which a model learns to predict each token: their parts, files, rows and layers."""
