"""Public: the exception for mistakes that a user can fix, and how scripts report it."""

from wavegan.core.errors import UserError, reported

__all__ = ["UserError", "reported"]
