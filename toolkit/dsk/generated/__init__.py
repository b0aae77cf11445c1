"""Files that `dsk render` writes: Dockerfiles, Compose, bake, tables of the documentation."""
