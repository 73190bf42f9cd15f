"""Differentiable galaxy physics, from halo growth to integral-field cubes."""


def load(path, **options):
    """The model of a checkpoint: see `galdiff.train.load.load`."""
    from galdiff.train.load import load as from_checkpoint  # so that importing galdiff stays instant

    return from_checkpoint(path, **options)
