"""Conventions of simulations, one a file; `galdiff.io.simulations` finds them by walking this package."""
