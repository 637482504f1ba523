"""What a person calls: recipes for images, texts and clips."""
