"""The command line: parses, calls, prints. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperGroup

from wavegan.cli import measure, models, recipes, speak, train
from wavegan.core.errors import reported
from wavegan.core.version import __version__


class Commands(TyperGroup):
    def invoke(self, context: typer.Context) -> None:
        with reported():  # inside Typer, which would end an interrupted command without a message
            super().invoke(context)


PLAIN = {"no_args_is_help": True, "rich_markup_mode": None}
HELP = {"help_option_names": ["-h", "--help"]}
FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True}  # arguments for another program

app = typer.Typer(cls=Commands, context_settings=HELP, pretty_exceptions_enable=False, **PLAIN)
recipe = typer.Typer(help="Recipe folders: list, copy and run them, or write one for your recordings.", **PLAIN)


def version() -> None:
    """Print the version."""
    print(__version__)


def _version(value: bool) -> None:
    if value:
        version()
        raise typer.Exit


@app.callback()
def _options(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train and play GANs that generate speech waveforms."""


for command in (speak.vocode, speak.digits, speak.generate, speak.mel, train.train, measure.evaluate, models.info):
    app.command()(command)
app.command("import")(models.import_)
for command in (models.pack, models.export, measure.bench):
    app.command()(command)
app.add_typer(recipe, name="recipe")
recipe.command()(recipes.new)
recipe.command(context_settings=FORWARD)(recipes.run)
recipe.command("list")(recipes.list_)
recipe.command()(recipes.copy)
app.command(context_settings=FORWARD, add_help_option=False)(speak.demo)
app.command()(version)


def main() -> None:
    """Run the command line; a UserError is printed in one sentence, with exit status 2."""
    app()
