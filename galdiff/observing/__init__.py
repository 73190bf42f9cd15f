"""The main job: a galaxy grown or read, turned, laid out, rendered, with noise; from built objects, never from configs.

    galaxy, history = grow(stage, halo, baryons)      Galaxy, BaryonHistory
    stars, placement = look(sky, galaxy)              SkyStars, Placement
    layout = lay_out(setup, precision, n_stars)       plans, engine, stages
    cube, maps, seen = render(layout, stars, placement)     ObservedCube without noise, KinematicMaps: bare, and seen
    cube = with_noise(cube, seed=0, snr=40.0, ...)

`mock.observe` does all but the first. `stages.pipeline` is the same as one function for `jax.jit` and `jax.grad`.
"""
