"""What a person calls: recipes for images and texts."""
