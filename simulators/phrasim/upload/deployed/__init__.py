"""The upload service as it is deployed now (PROTOCOL §2, the columns *now*): targets, JSON-LD, signed file URLs."""
