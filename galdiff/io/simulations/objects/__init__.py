"""Galaxies out of objects of other packages, one a file; none of these packages is imported here."""
