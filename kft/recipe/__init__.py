"""Recipes for images, texts and clips: the classes that users call and subclass."""
