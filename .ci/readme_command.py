"""Print the one command of the README's code blocks that matches a pattern: CI runs what the README says."""

import re
import sys
from pathlib import Path

readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
blocks = re.findall(r"```bash\n(.*?)```", readme, re.DOTALL)
commands = [line for block in blocks for line in block.splitlines() if re.search(sys.argv[1], line)]
if len(commands) != 1:
    sys.exit(f"expected one command matching {sys.argv[1]!r} in README.md, found {commands}")
print(commands[0])
