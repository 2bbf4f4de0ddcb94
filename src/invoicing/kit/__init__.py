"""What every room needs and no noun of ours appears in: clock, ids, database, problems, HTTP, logs."""
