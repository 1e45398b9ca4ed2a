"""Brokers with one rule removed: what the differential tests must be able to see.

A mutant is one function of the embedded broker in which a piece of source is replaced. `program` names the recorded
program, in contracts/broker/, that tells it from RabbitMQ.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """`function` is a module and a name in it; `old` stands once in its source, where `new` goes."""

    missing_rule: str
    function: str
    old: str
    new: str
    program: str

    def __str__(self) -> str:
        return self.missing_rule.replace(" ", "-")

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Replace the function while the block runs."""
        module_name, _, dotted = self.function.partition(":")
        module = importlib.import_module(f"phrasim.broker.{module_name}")
        *path, name = dotted.split(".")
        owner = module
        for part in path:
            owner = getattr(owner, part)
        original = owner.__dict__[name]
        source = textwrap.dedent(inspect.getsource(original))
        assert source.count(self.old) == 1, f"{self.old!r} is not once in {self.function}: the mutant needs new words"
        made: dict[str, object] = {}
        exec(
            compile(source.replace(self.old, self.new), f"<{self.function}>", "exec"),
            inspect.unwrap(original).__globals__,
            made,
        )
        setattr(owner, name, made[name])
        try:
            yield
        finally:
            setattr(owner, name, original)


MUTANTS = (
    Mutant(
        "a requeued delivery is redelivered",
        "queue:Queue.requeue",
        "copy.redelivered = True",
        "pass",
        "redelivered-and-back-in-its-place",
    ),
    Mutant(
        "a requeued delivery goes back to its place",
        "queue:Queue.requeue",
        "(copy.position, copy)",
        "(1000 - copy.position, copy)",
        "redelivered-and-back-in-its-place",
    ),
    Mutant(
        "prefetch limits a consumer",
        "queue:Queue._next_consumer",
        "consumer.outstanding < consumer.prefetch",
        "True",
        "prefetch-of-a-consumer",
    ),
    Mutant(
        "prefetch limits a channel",
        "queue:Queue._next_consumer",
        "channel.outstanding < channel.prefetch",
        "True",
        "prefetch-of-a-channel",
    ),
    Mutant("consumers take turns", "queue:Queue._next_consumer", "consumers.rotate(-1)", "pass", "consumers-in-turn"),
    Mutant(
        "multiple settles all up to the tag",
        "channel:Channel._up_to",
        "for tag in tags",
        "for tag in tags[-1:]",
        "ack-up-to-a-tag",
    ),
    Mutant(
        "an unknown delivery tag closes the channel",
        "channel:Channel.basic_ack",
        'raise precondition_failed(f"unknown delivery tag {delivery_tag}")',
        "return",
        "unknown-tags",
    ),
    Mutant(
        "a mandatory message comes back",
        "channel:Channel.basic_publish",
        "if mandatory:",
        "if False:",
        "mandatory-and-immediate",
    ),
    Mutant(
        "a full queue refuses with a nack",
        "channel:Channel.basic_publish",
        "Confirmed(self, self._published, accepted)",
        "Confirmed(self, self._published, True)",
        "full-queues-refuse",
    ),
    Mutant(
        "an exclusive queue is its connections own",
        "channel:Channel._check_access",
        "queue.owner is not None",
        "False",
        "exclusive-queues",
    ),
    Mutant(
        "an exclusive consumer is alone",
        "channel:Channel.basic_consume",
        'raise access_refused(f"{text} in exclusive use")',
        "pass",
        "exclusive-consumers",
    ),
    Mutant(
        "an auto delete queue goes with its last consumer",
        "queue:Queue.remove_consumer",
        "return self.auto_delete and not self.consumers",
        "return False",
        "queues-that-go-with-their-consumers",
    ),
    Mutant(
        "an auto delete exchange goes with its last binding",
        "core:Broker._delete_unused",
        "if exchange.auto_delete",
        "if False",
        "exchanges-that-go-with-their-bindings",
    ),
    Mutant(
        "a letter gets the queues routing key",
        "core:Broker._dead_letter",
        "queue.dead_letter_routing_key",
        "None",
        "lengths",
    ),
    Mutant("a repeated death is counted", "deadletter:record_death", "count + 1", "count", "letters-of-letters"),
    Mutant(
        "a letter loses its expiration",
        "core:make_letter",
        "expiration=None",
        "expiration=properties.expiration",
        "letters",
    ),
    Mutant(
        "a cycle without a client ends",
        "core:Broker._dead_letter",
        'is_cycle(target.name, headers["x-death"])',
        # Without any end the broker would never answer.
        'sum(death["count"] for death in headers["x-death"]) > 9',
        "cycles",
    ),
    Mutant(
        "the shorter time to live counts",
        "queue:Queue._set_expiry",
        "self._ttl_ms < ttl_ms",
        "False",
        "expiry-at-once",
    ),
    Mutant(
        "a full queue sends its head to the dead letter exchange",
        "queue:Queue._drop_overflow",
        'self._broker.discard(self._take().message, self, "maxlen")',
        'self._broker.drop(self._take().message, self.name, "maxlen")',
        "lengths",
    ),
    Mutant(
        "what no binding takes goes to the alternate exchange",
        "core:Broker._walk",
        "current.alternate is not None",
        "False",
        "alternate-exchanges",
    ),
    Mutant(
        "a hash may stand for no word", "exchange:_TopicNode.stand_on", "while node is not None", "if True", "topics"
    ),
    Mutant("any header is enough", "exchange:headers_match", "any(found)", "all(found)", "headers"),
    Mutant(
        "a second declaration must repeat the arguments",
        "core:Broker.declare_queue",
        "check_arguments_equivalent(existing.arguments, arguments, COMPARED, text)",
        "pass",
        "inequivalent-declarations",
    ),
    Mutant(
        "nobody publishes to an internal exchange",
        "channel:Channel.basic_publish",
        "if found.internal:",
        "if False:",
        "internal-exchanges",
    ),
    Mutant(
        "a consumer learns that its queue is gone",
        "channel:Channel.cancel_consumer",
        "self._broker.events.append(ConsumerCancelled(self, consumer.tag))",
        "pass",
        "cancelled-by-the-broker",
    ),
    Mutant("a user id is the users own", "channel:Channel._check_user", "user_id != user", "False", "user-ids"),
    Mutant(
        "the queue declared last is looked for before the channel",
        "amqp.channel:AmqpChannel._unopened",
        "not command.queue",
        "False",
        "connections-used-wrongly",
    ),
    Mutant(
        "who is not trusted hears nothing",
        "amqp.lifecycle:Lifecycle.close_by",
        'before in {"opening", "running"}',
        "True",
        "handshakes-gone-wrong",
    ),
    Mutant(
        "properties are read behind the exchange",
        "amqp.properties:WireProperties.__init__",
        "if end != len(raw):\n        return",
        "if end != len(raw):\n        raise _other_header(1)",
        "malformed-properties",
    ),
    Mutant("BCC is hidden", "channel:carbon_keys", 'if "BCC" in headers:', "if False:", "copies"),
    Mutant(
        "the channels deliveries go back when it closes",
        "channel:Channel.close",
        "give_back(self.release())",
        "self.release()",
        "what-comes-back-when-a-channel-goes",
    ),
)
