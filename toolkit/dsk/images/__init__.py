"""Container images: rendered from the matrix, built by docker buildx."""
