"""Laws of the baryon cycles, one file each: what a model leaves open goes into a slot (see `galdiff.baryons.laws.law`)."""
