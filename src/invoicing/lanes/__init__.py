"""Priority times size: which lane a job takes, in which order it is released, how many of a class may run."""
