<?php

/**
 * Exchanges and queues (§4.1): each is first declared passively, and made only where it is not there.
 *
 * A passive declaration that fails closes its channel, so that this has a channel of its own, and opens another.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Connection\AbstractConnection;
use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Wire\AMQPTable;

final class Topology
{
    public const EXCHANGE = 'alchemy-exchange';
    public const RETRY_EXCHANGE = 'retry-alchemy-exchange';
    private const WAITING = ['assetsIngest' => '_retry', 'createRecord' => '_retry', 'pullAssets' => '_loop'];
    private const TTL_RETRY_MS = 10_000;
    private const TTL_FAILED_MS = 604_800_000;
    private const MAX_RETRY = 3;

    private ?AMQPChannel $channel = null;

    public function __construct(private AbstractConnection $connection, private Settings $settings)
    {
    }

    /** A connection to the broker of the settings; AMQPLAIN is what Phraseanet logs in by. */
    public static function connect(Settings $settings): AbstractConnection
    {
        ['host' => $host, 'port' => $port, 'user' => $user, 'password' => $password, 'vhost' => $vhost]
            = $settings->get(['broker']);
        return new AMQPStreamConnection($host, $port, $user, $password, $vhost, false, 'AMQPLAIN');
    }

    public function channel(): AMQPChannel
    {
        return $this->channel ??= $this->connection->channel();
    }

    public function isBase(string $queue): bool
    {
        return isset(self::WAITING[$queue]);
    }

    /** Whether messages of the base queue go round for ever. */
    public function loops(string $base): bool
    {
        return self::WAITING[$base] === '_loop';
    }

    /** The queue where messages of the base queue wait. */
    public function waiting(string $base): string
    {
        return $base . self::WAITING[$base];
    }

    public function maxRetry(string $base): int
    {
        return $this->settings->get(['workers', 'queues', $base, 'max_retry'], self::MAX_RETRY);
    }

    public function exchangeOf(string $queue): string
    {
        return $this->isBase($queue) ? self::EXCHANGE : self::RETRY_EXCHANGE;
    }

    /** Declare a queue; a base queue brings the one along where its messages wait. */
    public function prepare(string $queue): void
    {
        foreach ($this->isBase($queue) ? [$queue, $this->waiting($queue)] : [$queue] as $name) {
            if (!$this->isThere($name)) {
                $this->make($name);
            }
        }
    }

    /** Drop what a base queue holds, and what waits for it. */
    public function purge(string $base): void
    {
        $this->prepare($base);
        foreach ([$base, $this->waiting($base)] as $name) {
            $this->channel()->queue_purge($name);
        }
    }

    private function isThere(string $queue): bool
    {
        try {
            $this->channel()->queue_declare($queue, true);
        } catch (AMQPProtocolChannelException) {
            $this->channel = null;
            return false;
        }
        return true;
    }

    private function make(string $queue): void
    {
        $channel = $this->channel();
        foreach ([self::EXCHANGE, self::RETRY_EXCHANGE] as $exchange) {
            $channel->exchange_declare($exchange, 'direct', false, true, false);
        }
        $channel->queue_declare($queue, false, true, false, false, false, new AMQPTable($this->arguments($queue)));
        $channel->queue_bind($queue, $this->exchangeOf($queue), $queue);
    }

    private function arguments(string $queue): array
    {
        if ($this->isBase($queue)) {
            return $this->deadLetters(self::RETRY_EXCHANGE, $this->waiting($queue));
        }
        [$base, $suffix] = explode('_', $queue);
        if ($suffix === 'failed') {
            return ['x-message-ttl' => self::TTL_FAILED_MS];
        }
        $ttl = $this->settings->get(['workers', 'queues', $base, 'ttl_retry'], self::TTL_RETRY_MS);
        return [...$this->deadLetters(self::EXCHANGE, $base), 'x-message-ttl' => $ttl];
    }

    private function deadLetters(string $exchange, string $key): array
    {
        return ['x-dead-letter-exchange' => $exchange, 'x-dead-letter-routing-key' => $key];
    }
}
