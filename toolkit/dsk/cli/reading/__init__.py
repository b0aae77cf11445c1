"""What `dsk run` and `dsk bench` share: their options, and the preview of a plan."""
