"""How the broker refuses: AMQP 0-9-1 reply codes with the words RabbitMQ uses.

AMQP 0-9-1 §1.2 divides its exceptions in two: a soft one closes the channel, a hard one the connection.
Which of the two an exception is, its class says; the reply text is the one that goes on the wire.
"""

NO_ROUTE = (312, "NO_ROUTE")
INTERNAL_ERROR = 541


class AmqpError(Exception):
    """A refusal with what a `close` method on the wire carries.

    `class_id` and `method_id` name the method that failed; both are 0 until the channel fills them in.
    """

    def __init__(self, reply_code: int, reply_text: str) -> None:
        super().__init__(reply_code, reply_text)
        self.reply_code = reply_code
        self.reply_text = reply_text
        self.class_id = 0
        self.method_id = 0

    def __str__(self) -> str:
        return f"{self.reply_code} {self.reply_text}"


class AmqpChannelError(AmqpError):
    """A soft error: the channel it is raised on is closed, the connection lives on."""


class AmqpConnectionError(AmqpError):
    """A hard error: the connection is closed with all its channels."""


class AmqpUnansweredError(AmqpConnectionError):
    """A hard error of which the client is not told: RabbitMQ's reader dies of it, and the socket with the reader."""


def access_refused(explanation: str) -> AmqpChannelError:
    """403: a reserved name, the default exchange, an internal exchange, or an exclusive consumer."""
    return AmqpChannelError(403, f"ACCESS_REFUSED - {explanation}")


def not_found(explanation: str) -> AmqpChannelError:
    """404: the exchange or queue does not exist."""
    return AmqpChannelError(404, f"NOT_FOUND - {explanation}")


def resource_locked(queue: str) -> AmqpChannelError:
    """405: `queue`, in RabbitMQ's long form, is exclusive to another connection, or not exclusive at all."""
    return AmqpChannelError(
        405,
        f"RESOURCE_LOCKED - cannot obtain exclusive access to locked {queue}. It could be originally declared "
        "on another connection or the exclusive property value does not match that of the original declaration.",
    )


def precondition_failed(explanation: str) -> AmqpChannelError:
    """406: the arguments do not fit the thing they are for, or a delivery tag is unknown."""
    return AmqpChannelError(406, f"PRECONDITION_FAILED - {explanation}")


def command_invalid(explanation: str) -> AmqpConnectionError:
    """503: the method makes no sense, as with an exchange type that nobody knows."""
    return AmqpConnectionError(503, f"COMMAND_INVALID - {explanation}")


def channel_error(explanation: str) -> AmqpConnectionError:
    """504: the method came on a channel that is not open."""
    return AmqpConnectionError(504, f"CHANNEL_ERROR - {explanation}")


def not_allowed(explanation: str) -> AmqpConnectionError:
    """530: the client tried something it may not, as using a consumer tag twice."""
    return AmqpConnectionError(530, f"NOT_ALLOWED - {explanation}")


def not_implemented(explanation: str) -> AmqpConnectionError:
    """540: RabbitMQ does not implement it, or this broker does not imitate it."""
    return AmqpConnectionError(540, f"NOT_IMPLEMENTED - {explanation}")


def internal_error(explanation: str = "") -> AmqpConnectionError:
    """541: the broker has come to what it cannot do. RabbitMQ gives no explanation, and names no method."""
    return AmqpConnectionError(INTERNAL_ERROR, f"INTERNAL_ERROR - {explanation}" if explanation else "INTERNAL_ERROR")
