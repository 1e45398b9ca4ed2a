"""The rare methods of a channel: pamqp's commands become calls on the broker's channel, results become commands.

Here is every method of the classes access, exchange, queue, basic, confirm and tx that a client may send and that
`channel.py` does not read by hand. A method that is not here, RabbitMQ refuses with 503.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from pamqp.base import Frame
from pamqp.commands import Basic, Channel, Confirm, Exchange, Queue, Tx

from phrasim.broker.amqp import access
from phrasim.broker.channel import Channel as BrokerChannel
from phrasim.broker.errors import command_invalid, not_implemented

Operation: TypeAlias = Callable[[BrokerChannel, Any], Frame | None]


def call(channel: BrokerChannel, command: Frame) -> Frame | None:
    """Do what `command` asks for; gives the answer, None if there is none. Raises AmqpError."""
    operation = OPERATIONS.get(type(command))
    if operation is None:
        raise command_invalid("unimplemented method")
    answer = operation(channel, command)
    return None if getattr(command, "nowait", False) else answer


def _flow(channel: BrokerChannel, command: Channel.Flow) -> Frame:
    return Channel.FlowOk(channel.flow(bool(command.active)))


def _exchange_declare(channel: BrokerChannel, command: Exchange.Declare) -> Frame:
    channel.exchange_declare(
        command.exchange,
        command.exchange_type,
        passive=command.passive,
        durable=command.durable,
        auto_delete=command.auto_delete,
        internal=command.internal,
        arguments=command.arguments or {},
    )
    return Exchange.DeclareOk()


def _exchange_delete(channel: BrokerChannel, command: Exchange.Delete) -> Frame:
    channel.exchange_delete(command.exchange, if_unused=command.if_unused)
    return Exchange.DeleteOk()


def _exchange_bind(channel: BrokerChannel, command: Exchange.Bind) -> Frame:
    channel.exchange_bind(command.destination, command.source, command.routing_key, command.arguments or {})
    return Exchange.BindOk()


def _exchange_unbind(channel: BrokerChannel, command: Exchange.Unbind) -> Frame:
    channel.exchange_unbind(command.destination, command.source, command.routing_key, command.arguments or {})
    return Exchange.UnbindOk()


def _queue_declare(channel: BrokerChannel, command: Queue.Declare) -> Frame:
    declared = channel.queue_declare(
        command.queue,
        passive=command.passive,
        durable=command.durable,
        exclusive=command.exclusive,
        auto_delete=command.auto_delete,
        arguments=command.arguments or {},
    )
    # pamqp's type knows a name only with the signs of its pattern; `methods` writes any.
    answer = Queue.DeclareOk("", declared.message_count, declared.consumer_count)
    answer.queue = declared.name
    return answer


def _queue_bind(channel: BrokerChannel, command: Queue.Bind) -> Frame:
    channel.queue_bind(command.queue, command.exchange, command.routing_key, command.arguments or {})
    return Queue.BindOk()


def _queue_unbind(channel: BrokerChannel, command: Queue.Unbind) -> Frame:
    channel.queue_unbind(command.queue, command.exchange, command.routing_key, command.arguments or {})
    return Queue.UnbindOk()


def _queue_purge(channel: BrokerChannel, command: Queue.Purge) -> Frame:
    return Queue.PurgeOk(channel.queue_purge(command.queue))


def _queue_delete(channel: BrokerChannel, command: Queue.Delete) -> Frame:
    return Queue.DeleteOk(channel.queue_delete(command.queue, if_unused=command.if_unused, if_empty=command.if_empty))


def _basic_qos(channel: BrokerChannel, command: Basic.Qos) -> Frame:
    channel.basic_qos(command.prefetch_count, global_=command.global_, prefetch_size=command.prefetch_size)
    return Basic.QosOk()


def _basic_consume(channel: BrokerChannel, command: Basic.Consume) -> Frame:
    consumer_tag = channel.basic_consume(
        command.queue,
        command.consumer_tag,
        no_ack=command.no_ack,
        exclusive=command.exclusive,
        arguments=command.arguments or {},
    )
    return Basic.ConsumeOk(consumer_tag)


def _basic_cancel(channel: BrokerChannel, command: Basic.Cancel) -> Frame:
    consumer_tag = command.consumer_tag or ""
    channel.basic_cancel(consumer_tag)
    return Basic.CancelOk(consumer_tag)


def _basic_recover(channel: BrokerChannel, command: Basic.Recover) -> Frame:
    channel.basic_recover(requeue=command.requeue)
    return Basic.RecoverOk()


def _basic_recover_async(channel: BrokerChannel, command: Basic.RecoverAsync) -> None:
    channel.basic_recover_async(requeue=command.requeue)


def _confirm_select(channel: BrokerChannel, command: Confirm.Select) -> Frame:  # noqa: ARG001
    channel.confirm_select()
    return Confirm.SelectOk()


def _transaction(channel: BrokerChannel, command: Frame) -> None:  # noqa: ARG001
    raise not_implemented("transactions are not simulated: use publisher confirms")


def _access_request(channel: BrokerChannel, command: access.Request) -> Frame:  # noqa: ARG001
    return access.RequestOk()


OPERATIONS: Mapping[type[Frame], Operation] = {
    access.Request: _access_request,
    Channel.Flow: _flow,
    Exchange.Declare: _exchange_declare,
    Exchange.Delete: _exchange_delete,
    Exchange.Bind: _exchange_bind,
    Exchange.Unbind: _exchange_unbind,
    Queue.Declare: _queue_declare,
    Queue.Bind: _queue_bind,
    Queue.Unbind: _queue_unbind,
    Queue.Purge: _queue_purge,
    Queue.Delete: _queue_delete,
    Basic.Qos: _basic_qos,
    Basic.Consume: _basic_consume,
    Basic.Cancel: _basic_cancel,
    Basic.Recover: _basic_recover,
    Basic.RecoverAsync: _basic_recover_async,
    Confirm.Select: _confirm_select,
    Tx.Select: _transaction,
    Tx.Commit: _transaction,
    Tx.Rollback: _transaction,
}
