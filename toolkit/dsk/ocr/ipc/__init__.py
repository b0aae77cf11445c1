"""Messages and page pixels between dsk's own processes."""
