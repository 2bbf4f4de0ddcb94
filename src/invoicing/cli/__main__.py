"""`python -m invoicing.cli` is `invoicing`."""

from invoicing.cli import main

main()
