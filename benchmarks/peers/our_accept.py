"""Ours, served as the peers are."""

from invoicing.app.web import create_app
from invoicing.settings import read

app = create_app(read())
