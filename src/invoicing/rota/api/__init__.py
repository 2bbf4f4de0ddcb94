"""The rota over HTTP."""
