"""Trainings that ship with galdiff, one file each: data, objective, figures."""
