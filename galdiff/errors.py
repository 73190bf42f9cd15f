"""Errors a user can act on: the command line prints them on one line and exits with code 2."""


class InputError(ValueError):
    """Bad input: the message names the field, what was found, its unit, what is allowed, and the remedy."""


class Lost(InputError):
    """Another of the processes is gone; who reports it leaves at once, for a normal end waits for that one."""
