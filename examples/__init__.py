"""Programs that show the library on a real small model."""
