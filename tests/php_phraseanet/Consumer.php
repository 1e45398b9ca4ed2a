<?php

/**
 * The consumer of the base queues (§4.3): it counts, gives up or starts the work, and settles each delivery at once.
 *
 * Phraseanet starts a process for each message. Here the work is done in this one, after the delivery was settled; what
 * would end that process is caught, and told on standard error, and the message is as lost as it is there (H2).
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Exception\AMQPTimeoutException;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

final class Consumer
{
    private const PREFETCH = 1;
    private const WAIT_S = 0.5;

    private bool $told = false;

    /** @param array<string, callable(array): void> $works what is done with a payload, by base queue */
    public function __construct(
        private AMQPChannel $channel,
        private Topology $topology,
        private Publisher $publisher,
        private array $works,
    ) {
    }

    public function begin(): void
    {
        $this->channel->basic_qos(0, self::PREFETCH, false);
        foreach (array_keys($this->works) as $queue) {
            $this->topology->prepare($queue);
            $this->channel->basic_consume($queue, '', false, false, false, false, $this->take(...));
        }
    }

    /** Consume until it is told to end; then that after the work at hand. */
    public function run(): void
    {
        while (!$this->told) {
            try {
                $this->channel->wait(null, false, self::WAIT_S);
            } catch (AMQPTimeoutException) {
                continue; // nothing came
            }
        }
    }

    public function end(): void
    {
        $this->told = true;
    }

    private function take(AMQPMessage $delivery): void
    {
        ['message_type' => $type, 'payload' => $payload]
            = json_decode($delivery->getBody(), true, 512, JSON_THROW_ON_ERROR);
        $count = $this->count($delivery);
        if ($count !== null) {
            $payload['count'] = $count;
        }
        if (!$this->topology->loops($type) && $count > $this->topology->maxRetry($type)) {
            $this->publisher->giveUp($type, $payload, $delivery->get('application_headers'));
            $delivery->ack();
            return;
        }
        if ($this->topology->loops($type)) {
            $delivery->nack(false);
        } else {
            $delivery->ack();
        }
        $this->work($type, $payload);
    }

    private function work(string $type, array $payload): void
    {
        try {
            ($this->works[$type])($payload);
        } catch (\Throwable $died) {
            fwrite(STDERR, "$type died: $died\n");
        }
    }

    /** The count of the last entry of x-death that names a base queue; null where none does. */
    private function count(AMQPMessage $delivery): ?int
    {
        $headers = $delivery->has('application_headers') ? $delivery->get('application_headers') : new AMQPTable();
        $count = null;
        foreach ($headers->getNativeData()['x-death'] ?? [] as $death) {
            if ($this->topology->isBase($death['queue'])) {
                $count = $death['count'];
            }
        }
        return $count;
    }
}
