"""Jobs over HTTP: submit, batch, list, read, follow, cancel, fetch results, see what can be submitted."""
