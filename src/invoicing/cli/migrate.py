"""Running the migrations (apart from `schema`, because Alembic takes long to import and is seldom needed)."""

from concurrent.futures import ThreadPoolExecutor

import alembic.command
import alembic.config

from invoicing.cli.schema import alembic_ini


def migrate(database_url: str) -> None:
    """Bring the database to the newest revision; the migrations run an event loop of their own, hence the thread."""
    config = alembic.config.Config(alembic_ini())
    config.attributes["url"] = database_url
    with ThreadPoolExecutor(1, thread_name_prefix="migrate") as thread:
        thread.submit(alembic.command.upgrade, config, "head").result()
