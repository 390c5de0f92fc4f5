"""The ``gridcrm`` application: its commands in the order a newcomer needs them, and how errors end.

Belongs here: the list of commands and the one place where an error becomes one line. Does not belong here:
what a command does. Every command imports what it needs when it runs, so that ``gridcrm decode`` starts in a
fraction of a second and never loads Dagster.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from connectors.errors import GridCRMError
from orchestration.cli import decode, demo, doctor, formats, replay, schema

EXIT_REFUSED = 2
"""Exit code of every error that a person can mend; usage errors have the same, as in every click program."""


class OneLineErrors(TyperGroup):
    """A command group whose expected errors end in one line on standard error, never in a traceback.

    An unexpected error keeps its traceback: it is a defect, not a message.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command; with ``--debug`` an expected error keeps its traceback too."""
        try:
            return super().invoke(ctx)
        except GridCRMError as error:
            if ctx.params.get("debug"):
                raise
            typer.echo(f"gridcrm: {' '.join(str(error).split())}", err=True)
            raise typer.Exit(EXIT_REFUSED) from error


app = typer.Typer(
    name="gridcrm",
    cls=OneLineErrors,
    help="From a utility's silos to daily customer decisions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """From a utility's silos to daily customer decisions."""


app.command("demo")(demo.demo)
app.command("real")(demo.real)
app.command("ui")(demo.ui)
app.command("docs")(demo.docs)
app.command("formats")(formats.formats)
app.command("decode")(decode.decode)
app.command("replay")(replay.replay)
app.command("schema")(schema.schema)
app.command("doctor")(doctor.doctor)

if __name__ == "__main__":
    app()
