<?php

/**
 * What is published (§4.2, §4.3): each message is stamped, and before each its queue is declared anew.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

final class Publisher
{
    public function __construct(private Topology $topology)
    {
    }

    /** Hand work to a base queue. */
    public function publish(string $type, array $payload): void
    {
        $this->send($type, ['message_type' => $type, 'payload' => $payload]);
    }

    /**
     * Hand work that failed straight to where it waits, under an x-death as the broker would have written it, but for
     * `routing-keys`, which is a text.
     */
    public function tryAgain(string $type, array $payload, string $reason): void
    {
        $death = [
            'count' => ($payload['count'] ?? 1) + 1,
            'exchange' => Topology::EXCHANGE,
            'queue' => $type,
            'routing-keys' => $type,
            'reason' => 'rejected',
            'time' => new \DateTime(),
        ];
        $headers = new AMQPTable(['x-death' => [$death], 'worker-message' => $reason]);
        $this->send($this->topology->waiting($type), ['message_type' => $type, 'payload' => $payload], $headers);
    }

    /** Lay a payload into the failed queue, flattened: its `message_type` is gone (H12). */
    public function giveUp(string $type, array $payload, AMQPTable $headers): void
    {
        $this->send("{$type}_failed", $payload, $headers);
    }

    private function send(string $queue, array $message, ?AMQPTable $headers = null): void
    {
        $this->topology->prepare($queue);
        $message['payload']['published'] = time();
        $sent = new AMQPMessage(json_encode($message, JSON_THROW_ON_ERROR), [
            'content_type' => 'application/json',
            'delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT,
        ]);
        if ($headers !== null) {
            $sent->set('application_headers', $headers);
        }
        $this->topology->channel()->basic_publish($sent, $this->topology->exchangeOf($queue), $queue);
    }
}
