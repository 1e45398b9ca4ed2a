"""Holds a broker to what RabbitMQ does: programs from `contracts/broker/`, run over AMQP 0-9-1, and their records."""
