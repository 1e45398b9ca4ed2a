"""The Auth service of the request-flow document (PROTOCOL §1.5, A27, A33): opaque tokens, publisher info."""
