"""RabbitMQ's wire, AMQP 0-9-1: the bytes that clients send become calls on the broker, its events become bytes.

`tables`, `frames`, `methods` and `properties` are the codec: they know bytes, but no order of methods and no broker.
"""
