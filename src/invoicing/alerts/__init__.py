"""What tells a person of an incident: alerts, the channels that they go to, and how an acknowledgement comes back."""
