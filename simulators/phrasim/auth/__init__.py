"""The simulated Auth service: users, clients, and access tokens that expire."""
