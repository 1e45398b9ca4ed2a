"""The Phraseanet of the request-flow document (PROTOCOL §1): one message a commit, one worker, a poller."""
