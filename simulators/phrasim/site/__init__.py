"""The documentation as a site: pages made from the contract, the documents and runs of scenarios, built by MkDocs."""
