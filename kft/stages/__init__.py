"""Stages of fine-tuning: their settings, plans and tables, and the optimizer of groups."""
