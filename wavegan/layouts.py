"""Public: folder layouts that several published corpora share."""

from wavegan.data.layouts import SPEECH_COMMANDS, SPEECH_COMMANDS_LISTS, libritts, ljspeech, rows, speech_commands

__all__ = ["SPEECH_COMMANDS", "SPEECH_COMMANDS_LISTS", "libritts", "ljspeech", "rows", "speech_commands"]
