<?php

// How what the client gives is read: messages as they come, and their values in a form that JSON has.

namespace Judge;

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPDecimal;

const ENDS_WITHIN_S = 10;

/** The value, in which times and decimals tell their class. */
function shown(mixed $value): mixed
{
    return match (true) {
        $value instanceof \DateTime => ['DateTime' => $value->getTimestamp()],
        $value instanceof AMQPDecimal => ['AMQPDecimal' => [$value->getN(), $value->getE()]],
        is_array($value) => array_map(shown(...), $value),
        default => $value,
    };
}

/** The headers of a message as PHP has them; null when it has none. */
function headersOf(AMQPMessage $message): ?array
{
    return $message->has('application_headers') ? $message->get('application_headers')->getNativeData() : null;
}

/** What a message is, as far as its death can have changed it. */
function letter(AMQPMessage $message): array
{
    $properties = $message->get_properties();
    return [
        'exchange' => $message->getExchange(),
        'routingKey' => $message->getRoutingKey(),
        'headers' => headersOf($message),
        'expiration' => $properties['expiration'] ?? null,
        'deliveryMode' => $properties['delivery_mode'] ?? null,
        'body' => $message->getBody(),
    ];
}

/** The bodies that wait in a queue, in order. */
function bodies(AMQPChannel $channel, string $queue): array
{
    $found = [];
    while ($message = $channel->basic_get($queue, true)) {
        $found[] = $message->getBody();
    }
    return $found;
}

/** A queue of this connection with a name of the broker's. */
function ownQueue(AMQPChannel $channel): string
{
    return $channel->queue_declare('', false, false, true, false)[0];
}

/** How many messages are in a queue, ready. */
function ready(AMQPChannel $channel, string $queue): int
{
    return $channel->queue_declare($queue, true)[1];
}

/** What comes to the consumers of a channel, one message after the other. */
final class Inbox
{
    private array $came = [];

    public function __construct(private AMQPChannel $channel)
    {
    }

    public function consume(string $queue, bool $noAck = false, string $tag = ''): string
    {
        return $this->channel->basic_consume($queue, $tag, false, $noAck, false, false, function ($message) {
            $this->came[] = $message;
        });
    }

    public function next(): AMQPMessage
    {
        while (!$this->came) {
            $this->channel->wait(null, false, ENDS_WITHIN_S);
        }
        return array_shift($this->came);
    }

    /** @return AMQPMessage[] */
    public function nextOnes(int $count): array
    {
        return array_map(fn () => $this->next(), range(1, $count));
    }

    public function unread(): int
    {
        return count($this->came);
    }
}
