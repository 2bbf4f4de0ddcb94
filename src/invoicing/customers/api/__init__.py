"""Who may ask what over HTTP, and how customers and keys are added."""
