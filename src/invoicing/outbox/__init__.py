"""What leaves the service to tell somebody: messages, the endpoints they go to, and each attempt at delivering them."""
