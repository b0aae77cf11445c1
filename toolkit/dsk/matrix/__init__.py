"""The compatibility matrix: which versions run which model on which GPU, as typed data."""

from dsk.matrix.catalog import Matrix
from dsk.matrix.load import load_matrix
from dsk.matrix.models import Model
from dsk.matrix.profiles import Gpu
from dsk.matrix.stack import Stack

__all__ = ["Gpu", "Matrix", "Model", "Stack", "load_matrix"]
