"""Halo catalogues and fields on disk: read, refuse what is inconsistent, write."""

from .fields import read_field, read_truth
from .halos import HaloCatalogue, join, write_catalogue
from .locations import BUNDLED, resolve
from .read import read_catalogue, read_catalogues

__all__ = [
    "BUNDLED",
    "HaloCatalogue",
    "join",
    "read_catalogue",
    "read_catalogues",
    "read_field",
    "read_truth",
    "resolve",
    "write_catalogue",
]
