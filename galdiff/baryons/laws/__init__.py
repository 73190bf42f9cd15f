"""Laws of the baryon cycles, one file each; `law` says what one is."""
