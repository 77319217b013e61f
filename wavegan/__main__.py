"""``python -m wavegan``."""

from wavegan.cli import main

main()
