"""Public: the exception for mistakes that a user can mend, and how a script reports it."""

from wavegan.core.errors import UserError, reported

__all__ = ["UserError", "reported"]
