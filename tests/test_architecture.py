"""The layout of the package: rooms import downwards only, and no modules import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "wavegan"
ROOMS = (  # from the ground to the roof; the last are the public modules, which only hand on
    *("core", "audio", "data", "metrics", "tasks", "models", "losses", "checkpoints"),
    *("inference", "training", "evaluation", "cli", "public"),
)


def modules() -> dict[str, Path]:
    names = {p: ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts) for p in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = modules()


def room(module: str) -> str:
    part = (module.split(".") + [""])[1]
    return part if part in ROOMS else "public"


def imports(module: str, also_later: bool = True) -> set[str]:
    """The modules of the package that ``module`` imports; with ``also_later``, inside of functions too."""
    found = set()
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if also_later else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            home = name if name in MODULES else name.rpartition(".")[0]
            if home in MODULES and home != module:
                found.add(home)
    return found


ARROWS = {module: imports(module) for module in MODULES}


def test_every_module_is_in_a_room():
    top = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    public = {"__init__.py", "__main__.py", "py.typed", "pretrained"}
    public |= {f"{name}.py" for name in ("corpus", "errors", "layouts", "manifest", "plugins", "prepare")}
    assert top == public | set(ROOMS) - {"public"}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_runs_upward(module):
    floor = ROOMS.index(room(module))
    upward = [other for other in ARROWS[module] if ROOMS.index(room(other)) > floor]
    assert not upward, f"{module} is in {room(module)} and imports {upward}"


def test_no_modules_import_each_other():
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in done:
            return
        for other in sorted(ARROWS[module]):
            visit(other, (*path, module))
        done.add(module)

    for module in sorted(MODULES):
        visit(module, ())


def test_rooms_below_do_not_know_the_command_line():
    assert not [m for m in MODULES if room(m) != "public" and any(room(o) == "public" for o in ARROWS[m])]
