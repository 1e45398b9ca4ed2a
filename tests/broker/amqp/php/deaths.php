<?php

// Dead letters and their x-death.

namespace Judge;

use PhpAmqpLib\Wire\AMQPTable;

/** A channel, a queue with the given arguments, and the inbox that its dead letters come to. */
function mortal(callable $connect, string $name, array $arguments = []): array
{
    $channel = $connect()->channel();
    $channel->exchange_declare("$name.dlx", 'topic');
    $dead = ownQueue($channel);
    $channel->queue_bind($dead, "$name.dlx", '#');
    $inbox = new Inbox($channel);
    $inbox->consume($dead, true);
    $arguments += ['x-dead-letter-exchange' => "$name.dlx"];
    $channel->queue_declare("$name.q", false, false, true, true, false, new AMQPTable($arguments));
    return [$channel, $inbox];
}

/** Reject a message, put the dead letter back where it died, and reject it again. */
function rejected(callable $connect): array
{
    [$channel, $inbox] = mortal($connect, 'rejected');
    $channel->queue_bind('rejected.q', 'amq.direct', 'key');
    $channel->basic_publish(message('bad', ['delivery_mode' => 2], ['kept' => [1, 'two']]), 'amq.direct', 'key');
    $channel->basic_get('rejected.q')->reject(false);
    $once = $inbox->next();
    $channel->basic_publish($once, '', 'rejected.q');
    $channel->basic_get('rejected.q')->nack();
    return [letter($once), letter($inbox->next())];
}

/** Let one message expire by itself, and one by its queue. */
function expired(callable $connect): array
{
    $arguments = ['x-message-ttl' => 300, 'x-dead-letter-routing-key' => 'too.late'];
    [$channel, $inbox] = mortal($connect, 'expired', $arguments);
    $channel->basic_publish(message('itself', ['expiration' => '20']), '', 'expired.q');
    $itself = letter($inbox->next());
    $channel->basic_publish(message('the queue'), '', 'expired.q');
    return [$itself, letter($inbox->next())];
}

/** Fill a queue that keeps only its newest message. */
function pushedOut(callable $connect): array
{
    [$channel, $inbox] = mortal($connect, 'full', ['x-max-length' => 1]);
    $channel->basic_publish(message('old'), '', 'full.q');
    $channel->basic_publish(message('new'), '', 'full.q');
    return letter($inbox->next());
}
