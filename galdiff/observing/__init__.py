"""The main job: a galaxy grown or read, turned, laid out, rendered, with noise; from built objects, never from configs.

    galaxy, history = grow(stage, halo, baryons)      Galaxy, BaryonHistory
    seen = look(sky, galaxy)                          SkyStars, Placement, and what shines in lines
    layout = lay_out(setup, precision, n_stars)       plans, engine, stages
    cube, *maps = render(layout, seen)                ObservedCube without noise, KinematicMaps: bare, seen; LineMaps
    cube = with_noise(cube, seed=0, snr=40.0, ...)

`mock.observe` does all but the first. `stages.pipeline` is the same as one function for `jax.jit` and `jax.grad`.
"""
