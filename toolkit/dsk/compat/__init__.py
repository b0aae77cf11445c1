"""The compatibility matrix: which versions run which model on which GPU, as typed data."""

from dsk.compat.load import load_matrix
from dsk.compat.matrix import Matrix
from dsk.compat.profiles import Gpu, Model
from dsk.compat.stack import Stack

__all__ = ["Gpu", "Matrix", "Model", "Stack", "load_matrix"]
