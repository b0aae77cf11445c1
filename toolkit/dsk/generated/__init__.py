"""Files that `dsk render` writes from the matrix: Dockerfiles, Compose, bake, README tables."""
