"""A real PostgreSQL and a real Redis from wheels, kept under one home folder: started, healed, stopped."""

from invoicing.kit.embedded.errors import EmbeddedServerError, HomeInUseError
from invoicing.kit.embedded.home import Home, hold
from invoicing.kit.embedded.postgres import EmbeddedPostgres
from invoicing.kit.embedded.valkey import EmbeddedRedis

__all__ = ["EmbeddedPostgres", "EmbeddedRedis", "EmbeddedServerError", "Home", "HomeInUseError", "hold"]
