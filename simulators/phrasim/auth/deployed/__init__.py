"""Auth as it is deployed now (PROTOCOL §5, the column *now*): as much of Keycloak as the hand-off touches."""
