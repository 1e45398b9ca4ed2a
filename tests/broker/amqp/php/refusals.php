<?php

// What the broker refuses, as the client's exceptions.

namespace Judge;

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Wire\AMQPTable;

/** Have a new channel refused something; the exception that its user gets. */
function refusal(AMQPStreamConnection $connection, callable $provoke): array
{
    $channel = $connection->channel();
    try {
        $provoke($channel);
        $channel->wait(null, false, ENDS_WITHIN_S);
    } catch (AMQPProtocolChannelException $error) {
        return [$error->amqp_reply_code, $error->amqp_method_sig, $error->getMessage(), $channel->is_open()];
    }
}

/** One refusal of each kind on one connection, which survives them all. */
function refusals(callable $connect): array
{
    $connection = $connect();
    $other = $connect()->channel();
    $other->queue_declare('refusals.theirs', false, false, true);
    $other->queue_declare('refusals.q');
    $other->basic_consume('refusals.q', '', false, false, true);
    $ttl = new AMQPTable(['x-message-ttl' => 5]);
    $acts = [
        'noQueue' => fn ($channel) => $channel->queue_declare('refusals.none', true),
        'noExchange' => fn ($channel) => $channel->basic_publish(message('x'), 'refusals.none', 'k'),
        'noQueueToFetch' => fn ($channel) => $channel->basic_get('refusals.none'),
        'otherArguments' => fn ($channel) => $channel->queue_declare('refusals.q', arguments: $ttl),
        'otherType' => fn ($channel) => $channel->exchange_declare('amq.topic', 'direct', false, true, false),
        'unknownTag' => fn ($channel) => $channel->basic_ack(7),
        'exclusiveUse' => fn ($channel) => $channel->basic_consume('refusals.q'),
        'reservedName' => fn ($channel) => $channel->exchange_declare('amq.mine', 'direct'),
        'defaultExchange' => fn ($channel) => $channel->queue_bind('refusals.q', ''),
        'locked' => fn ($channel) => $channel->queue_declare('refusals.theirs', exclusive: true),
    ];
    $seen = array_map(fn ($act) => refusal($connection, $act), $acts);
    $seen['after'] = ready($channel = $connection->channel(), ownQueue($channel));
    return $seen;
}

/** What the client sees when it does something for which the whole connection is closed. */
function connectionRefusal(callable $connect): array
{
    $connection = $connect();
    try {
        $connection->channel()->exchange_declare('refusals.strange', 'strange');
    } catch (AMQPConnectionClosedException $error) {
        $connected = $connection->isConnected();
        return ['code' => $error->getCode(), 'message' => $error->getMessage(), 'connected' => $connected];
    }
}
