"""Documents: discover, validate, open and render them."""
