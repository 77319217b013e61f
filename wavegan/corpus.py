"""Public: the command line and the corpus description of a recipe's prepare.py."""

from wavegan.data.corpus import Archive, Corpus, arguments, check_apart, divide, find, main, run, settings_of

__all__ = ["Archive", "Corpus", "arguments", "check_apart", "divide", "find", "main", "run", "settings_of"]
