"""Formats of SSP libraries, one a file; `galdiff.sps.library` finds them by walking this package."""
