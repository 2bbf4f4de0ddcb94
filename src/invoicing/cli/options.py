"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[
    Path,
    typer.Option(
        envvar="INVOICING_HOME", metavar="DIR", help="Folder of the servers' data, dev-keys.json, run.json and logs."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON for a program to read.")]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="INVOICING_URL", metavar="URL", help="Where the service is (else DIR/run.json says)."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--key", envvar="INVOICING_KEY", metavar="KEY", help="The key to use (else one of DIR/dev-keys.json)."
    ),
]

DEFAULT_HOME = Path(".invoicing")
