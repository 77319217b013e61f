"""Public: what a recipe's prepare.py is written with."""

from wavegan.data.corpus import Archive, Corpus, arguments, check_apart, divide, find, main, run, settings_of

__all__ = ["Archive", "Corpus", "arguments", "check_apart", "divide", "find", "main", "run", "settings_of"]
