"""The command line, a file for each verb; importing this imports none of them, so that processes start fast."""
