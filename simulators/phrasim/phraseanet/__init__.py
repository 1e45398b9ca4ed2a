"""The simulated Phraseanet: learns of commits, hands them to itself through RabbitMQ, and works on them."""
