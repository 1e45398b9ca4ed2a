"""The upload service of the request-flow document (PROTOCOL §1): plain JSON, downloads by AssetToken."""
