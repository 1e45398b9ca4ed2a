<?php

// Phraseanet's own pattern: what fails goes to a retry queue, and comes back from there when its time is over.

namespace Judge;

use PhpAmqpLib\Channel\AMQPChannel;
use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

const MAX_RETRY = 3;
const BASE = 'createRecord';

/** Declare exchanges and queues as Phraseanet does, but for the shorter time to wait, and consume the base queue. */
function workers(callable $connect): array
{
    $channel = $connect()->channel();
    foreach (['alchemy-exchange', 'retry-alchemy-exchange'] as $exchange) {
        $channel->exchange_declare($exchange, 'direct', false, true, false);
    }
    $queues = [
        BASE => ['alchemy-exchange', [
            'x-dead-letter-exchange' => 'retry-alchemy-exchange',
            'x-dead-letter-routing-key' => BASE . '_retry',
        ]],
        BASE . '_retry' => ['retry-alchemy-exchange', [
            'x-dead-letter-exchange' => 'alchemy-exchange',
            'x-dead-letter-routing-key' => BASE,
            'x-message-ttl' => 50,
        ]],
        BASE . '_failed' => ['retry-alchemy-exchange', ['x-message-ttl' => 604800 * 1000]],
    ];
    foreach ($queues as $queue => [$exchange, $arguments]) {
        $channel->queue_declare($queue, false, true, false, false, false, new AMQPTable($arguments));
        $channel->queue_bind($queue, $exchange, $queue);
    }
    $channel->basic_qos(null, 1, null);
    $inbox = new Inbox($channel);
    $inbox->consume(BASE);
    return [$channel, $inbox];
}

/** Publish as Phraseanet does: the count of the failures so far goes with the message as an x-death of its own. */
function publish(AMQPChannel $channel, string $queue, ?int $count = null): void
{
    $message = message('{"message_type":"createRecord"}', ['delivery_mode' => 2, 'content_type' => 'application/json']);
    if ($count !== null) {
        $message->set('application_headers', new AMQPTable([
            'x-death' => [
                [
                    'count' => $count,
                    'exchange' => 'alchemy-exchange',
                    'queue' => BASE,
                    'routing-keys' => BASE,
                    'reason' => 'rejected',
                    'time' => new \DateTime('@1500000000'),
                ],
            ],
            'worker-message' => 'not yet',
        ]));
    }
    $channel->basic_publish($message, $queue === BASE ? 'alchemy-exchange' : 'retry-alchemy-exchange', $queue);
}

/** The count of the last entry of x-death that is about the base queue; 0 when there is none. */
function countOf(AMQPMessage $message): int
{
    $entries = array_filter(headersOf($message)['x-death'] ?? [], fn ($entry) => $entry['queue'] === BASE);
    return $entries ? end($entries)['count'] : 0;
}

/**
 * Consume until a message has failed for good; what was executed, and what the failed queue holds.
 *
 * `$fail` is what is done with a message whose work failed; it is given the message and its count.
 */
function work(AMQPChannel $channel, Inbox $inbox, callable $fail): array
{
    $executed = [];
    publish($channel, BASE);
    while (($count = countOf($message = $inbox->next())) <= MAX_RETRY) {
        $executed[] = letter($message);
        $fail($message, $count);
    }
    $failed = message($message->getBody(), ['application_headers' => $message->get('application_headers')]);
    $channel->basic_publish($failed, 'retry-alchemy-exchange', BASE . '_failed');
    $message->ack();
    $kept = letter($channel->basic_get(BASE . '_failed', true));
    foreach ([BASE, BASE . '_retry', BASE . '_failed'] as $queue) {
        $channel->queue_delete($queue);
    }
    return ['executed' => $executed, 'failed' => $kept];
}

/** The work cannot even be started: the broker sends the message to the retry queue, and counts. */
function retriesByNack(callable $connect): array
{
    [$channel, $inbox] = workers($connect);
    return work($channel, $inbox, fn ($message) => $channel->basic_nack($message->getDeliveryTag()));
}

/** The work fails: it is acknowledged already, and the worker publishes to the retry queue with its own count. */
function retriesByWorker(callable $connect): array
{
    [$channel, $inbox] = workers($connect);
    return work($channel, $inbox, function ($message, $count) use ($channel) {
        $message->ack();
        publish($channel, BASE . '_retry', max($count, 1) + 1);
    });
}
