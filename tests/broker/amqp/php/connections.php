<?php

// Coming and going: logins, channels, heartbeats, and the end of a connection.

namespace Judge;

use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPProtocolChannelException;
use PhpAmqpLib\Wire\AMQPTable;

/** Log in and tell what the broker calls itself. */
function login(callable $connect, string $mechanism): string
{
    $connection = $connect(login_method: $mechanism);
    return $connection->getServerProperties()['product'][1];
}

/** The error that a login ends with. */
function refusedLogin(callable $connect, string $mechanism, string $password, string $vhost): array
{
    try {
        $connect(login_method: $mechanism, password: $password, vhost: $vhost);
    } catch (AMQPConnectionClosedException $error) {
        return ['code' => $error->getCode(), 'message' => $error->getMessage()];
    }
}

/** Open channels, use each, close every second one, and fill the gaps. */
function manyChannels(callable $connect, string $count): array
{
    $connection = $connect();
    $channels = array_map(fn () => $connection->channel(), range(1, (int) $count));
    $inboxes = [];
    foreach ($channels as $n => $channel) {
        $queue = ownQueue($channel);
        $inboxes[$n] = new Inbox($channel);
        $inboxes[$n]->consume($queue, true);
        $channel->basic_publish(message("for $n"), '', $queue);
    }
    // The frames of the other channels wait in the client while it reads for one of them.
    $bodies = array_map(fn ($inbox) => $inbox->next()->getBody(), array_reverse($inboxes));
    $numbers = array_map(fn ($channel) => $channel->getChannelId(), $channels);
    $closed = array_filter($channels, fn ($n) => $n % 2, ARRAY_FILTER_USE_KEY);
    array_walk($closed, fn ($channel) => $channel->close());
    $reopened = array_map(fn () => $connection->channel()->getChannelId(), array_values($closed));
    return ['bodies' => array_reverse($bodies), 'numbers' => $numbers, 'reopened' => $reopened];
}

/** Be silent for longer than two heartbeats of one second; then a message comes. */
function heartbeats(callable $connect): array
{
    $connection = $connect(heartbeat: 1);
    $channel = $connection->channel();
    $dead = ownQueue($channel);
    [$slow] = $channel->queue_declare('', false, false, true, true, false, new AMQPTable([
        'x-message-ttl' => 2300,
        'x-dead-letter-exchange' => '',
        'x-dead-letter-routing-key' => $dead,
    ]));
    $body = null;
    $channel->basic_consume($dead, '', false, true, false, false, function ($message) use (&$body, $channel) {
        $body = $message->getBody();
        $channel->stopConsume();
    });
    $channel->basic_publish(message('still here'), '', $slow);
    $channel->consume();
    return ['heartbeat' => $connection->getHeartbeat(), 'body' => $body, 'connected' => $connection->isConnected()];
}

/** Close a connection with work in hand, and look from another one at what it leaves. */
function close(callable $connect): array
{
    [$leaving, $staying] = [$connect(), $connect()];
    $channel = $leaving->channel();
    $channel->queue_declare('close.mine', false, false, true);
    $channel->queue_declare('close.shared', false, false, false, false);
    $channel->basic_publish(message('unacknowledged'), '', 'close.shared');
    $inbox = new Inbox($channel);
    $inbox->consume('close.shared');
    $inbox->next();
    $channel->close();
    $channelOpen = $channel->is_open();
    $leaving->close();

    $looking = $staying->channel();
    $back = $looking->basic_get('close.shared', true);
    $looking->queue_delete('close.shared');
    try {
        $looking->queue_declare('close.mine', true);
    } catch (AMQPProtocolChannelException $error) {
        return [
            'channelOpen' => $channelOpen,
            'connected' => $leaving->isConnected(),
            'redelivered' => $back->isRedelivered(),
            'exclusiveQueue' => $error->getCode(),
        ];
    }
}
