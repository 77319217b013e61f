"""The one exception for mistakes that a user can mend."""


class UserError(Exception):
    """One clear sentence: what is wrong, what was expected, what to do. The command line exits with 2."""
