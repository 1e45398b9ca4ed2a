"""What an application does with its client library: publish persistent messages, then consume and ack each by itself.

All functions give seconds, for a broker on a port of 127.0.0.1 that knows the user guest.
"""

import asyncio
import time

import aio_pika
import pika
from amqp_prepared import PREFETCH, QUEUE

BODY = b"x" * 200


def pika_there_and_back(port: int, count: int, *, confirms: bool) -> float:
    """Through pika's blocking connection, which waits for each confirm before it goes on."""
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, heartbeat=0))
    channel = connection.channel()
    channel.queue_declare(QUEUE, durable=True)
    channel.queue_purge(QUEUE)
    channel.basic_qos(prefetch_count=PREFETCH)
    if confirms:
        channel.confirm_delivery()
    properties = pika.BasicProperties(content_type="application/json", delivery_mode=pika.DeliveryMode.Persistent)
    begin = time.perf_counter()
    for _ in range(count):
        channel.basic_publish("", QUEUE, BODY, properties)

    def consume(channel, method, properties, body):  # noqa: ARG001
        channel.basic_ack(method.delivery_tag)
        if method.delivery_tag == count:
            channel.stop_consuming()

    channel.basic_consume(QUEUE, consume)
    channel.start_consuming()
    seconds = time.perf_counter() - begin
    channel.queue_delete(QUEUE)
    connection.close()
    return seconds


def aio_pika_there_and_back(port: int, count: int) -> float:
    """Through aio-pika, with PREFETCH publishes at a time, each of which waits for its confirm."""
    return asyncio.run(_aio_pika(port, count))


async def _aio_pika(port: int, count: int) -> float:
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/?heartbeat=0")
    async with connection:
        channel = await connection.channel()
        await channel.set_qos(PREFETCH)
        queue = await channel.declare_queue(QUEUE, durable=True)
        await queue.purge()
        everything = asyncio.Event()
        begin = time.perf_counter()
        for first in range(0, count, PREFETCH):
            publishes = (
                channel.default_exchange.publish(
                    aio_pika.Message(
                        BODY, content_type="application/json", delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                    ),
                    QUEUE,
                )
                for _ in range(min(PREFETCH, count - first))
            )
            await asyncio.gather(*publishes)

        async def consume(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            await message.ack()
            if message.delivery_tag == count:
                everything.set()

        consumer_tag = await queue.consume(consume)
        await everything.wait()
        seconds = time.perf_counter() - begin
        await queue.cancel(consumer_tag)
        await queue.delete(if_unused=False, if_empty=False)
        return seconds
