"""The Phraseanet that is deployed now (PROTOCOL §3, §4): OAuth at its entry, three queues, workers that die quietly."""
