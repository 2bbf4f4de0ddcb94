"""`python -m invoicing.cli` is `invoicing`."""

from invoicing.cli.command import main

main()
