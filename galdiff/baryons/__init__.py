"""Baryon cycle of a halo: flows of mass, metals and energy between stars, ISM and CGM."""
