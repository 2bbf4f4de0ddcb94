"""The wait ledger over HTTP: why a job is where it is, and who or what cost how much time."""
