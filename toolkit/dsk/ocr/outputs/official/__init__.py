"""The files of the model's own scripts, byte for byte."""
