"""aio-pika and aiormq under it, on a socket; the landscape's own participants speak through it too."""

import asyncio
from typing import Any

import aio_pika
import pytest
from aio_pika.exceptions import (
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    DeliveryError,
    ProbableAuthenticationError,
)


async def connected(served: Any, login: str = "guest:guest") -> aio_pika.abc.AbstractConnection:
    return await aio_pika.connect(f"amqp://{login}@127.0.0.1:{served.port}/?heartbeat=10")


def test_messages_are_confirmed_consumed_and_acknowledged(served: Any) -> None:
    async def main() -> list[tuple[bytes, Any]]:
        async with await connected(served) as connection:
            channel = await connection.channel(publisher_confirms=True)
            await channel.set_qos(prefetch_count=3)
            exchange = await channel.declare_exchange("e", "direct", durable=True)
            queue = await channel.declare_queue("q", durable=True)
            await queue.bind(exchange, "k")
            messages = [aio_pika.Message(str(n).encode(), headers={"n": n}, delivery_mode=2) for n in range(50)]
            await asyncio.gather(*(exchange.publish(message, "k", mandatory=True) for message in messages))
            seen = []
            async with queue.iterator() as iterator:
                async for message in iterator:
                    await message.ack()
                    seen.append((message.body, message.headers["n"]))
                    if len(seen) == 50:
                        break
            return seen

    assert asyncio.run(main()) == [(str(n).encode(), n) for n in range(50)]


def test_rejected_messages_go_to_the_dead_letter_exchange(served: Any) -> None:
    async def main() -> Any:
        async with await connected(served) as connection:
            channel = await connection.channel()
            await channel.declare_exchange("dlx", "fanout")
            dead = await channel.declare_queue("dead")
            await dead.bind("dlx")
            queue = await channel.declare_queue("q", arguments={"x-dead-letter-exchange": "dlx"})
            await channel.default_exchange.publish(aio_pika.Message(b"bad"), "q")
            message = await queue.get()
            await message.reject(requeue=True)
            again = await queue.get()
            assert again.redelivered
            await again.reject(requeue=False)
            return await dead.get(no_ack=True)

    letter = asyncio.run(main())
    (death,) = letter.headers["x-death"]
    assert (death["reason"], death["queue"], death["count"], death["routing-keys"]) == ("rejected", "q", 1, ["q"])
    assert letter.headers["x-first-death-queue"] == "q"


def test_refusals_are_exceptions_of_the_client(served: Any) -> None:
    async def main() -> None:
        async with await connected(served) as connection:
            channel = await connection.channel()
            with pytest.raises(ChannelNotFoundEntity):
                await channel.get_queue("nowhere")
            channel = await connection.channel()
            await channel.declare_queue("q")
            with pytest.raises(ChannelPreconditionFailed):
                await channel.declare_queue("q", durable=True)
            channel = await connection.channel()
            await channel.declare_queue("full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"})
            with pytest.raises(DeliveryError):
                await channel.default_exchange.publish(aio_pika.Message(b"x"), "full")
        with pytest.raises(ProbableAuthenticationError):
            await connected(served, "guest:wrong")

    asyncio.run(main())


def test_the_end_of_the_broker_closes_the_connection(serve: Any) -> None:
    served = serve()

    async def main() -> BaseException | None:
        connection = await connected(served)
        closed: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        connection.close_callbacks.add(lambda _, error: closed.done() or closed.set_result(error))
        stopping = served.run(served.server.stop(5))
        error = await asyncio.wait_for(closed, 5)
        await asyncio.wrap_future(stopping)
        return error

    assert "CONNECTION_FORCED" in str(asyncio.run(main()))
