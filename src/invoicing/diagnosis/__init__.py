"""Why a job stands where it stands, how long jobs like it take, and when it is expected to end."""
