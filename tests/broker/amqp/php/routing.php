<?php

// Exchanges, queues and what lies between them.

namespace Judge;

use PhpAmqpLib\Wire\AMQPTable;

/** For each type of exchange, two queues bound in different ways, and the messages that reach them. */
function exchangeTypes(callable $connect): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    $bindings = [
        'direct' => [['a.b', []], ['a', []]],
        'fanout' => [['x', []], ['y', []]],
        'topic' => [['a.#', []], ['*.b', []]],
        'headers' => [
            ['', ['x-match' => 'all', 'kind' => 'image', 'size' => 2]],
            ['', ['x-match' => 'any', 'kind' => 'image', 'size' => 1]],
        ],
    ];
    $messages = [
        ['a', ['kind' => 'image', 'size' => 2]],
        ['a.b', ['kind' => 'image', 'size' => 3]],
        ['c.b', ['kind' => 'text', 'size' => 1]],
        ['c', []],
    ];
    $reached = [];
    foreach ($bindings as $type => $places) {
        $channel->exchange_declare("types.$type", $type);
        $queues = [];
        foreach ($places as [$pattern, $headers]) {
            $queues[] = $queue = ownQueue($channel);
            $channel->queue_bind($queue, "types.$type", $pattern, false, new AMQPTable($headers));
        }
        foreach ($messages as [$key, $headers]) {
            $channel->basic_publish(message($key, headers: $headers), "types.$type", $key);
        }
        $channel->wait_for_pending_acks(ENDS_WITHIN_S);
        $reached[$type] = array_map(fn ($queue) => bodies($channel, $queue), $queues);
        array_walk($queues, fn ($queue) => $channel->queue_delete($queue));
    }
    return $reached;
}

/** From one exchange to another, to an alternate exchange, and no more after unbinding. */
function exchangeToExchange(callable $connect): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    [$queue, $other] = [ownQueue($channel), ownQueue($channel)];
    $channel->exchange_declare('between.rest', 'fanout');
    $channel->queue_bind($other, 'between.rest');
    $alternate = new AMQPTable(['alternate-exchange' => 'between.rest']);
    $channel->exchange_declare('between.first', 'direct', false, false, false, false, false, $alternate);
    $channel->exchange_declare('between.second', 'fanout');
    $channel->queue_bind($queue, 'between.second');
    $channel->exchange_bind('between.second', 'between.first', 'k');
    $channel->basic_publish(message('bound'), 'between.first', 'k');
    $channel->basic_publish(message('not bound'), 'between.first', 'l');
    $channel->exchange_unbind('between.second', 'between.first', 'k');
    $channel->basic_publish(message('unbound'), 'between.first', 'k');
    $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    $channel->exchange_delete('between.first');
    return ['queue' => bodies($channel, $queue), 'alternate' => bodies($channel, $other)];
}

/** Declare a queue twice with arguments, and look at the answers. */
function queueWithArguments(callable $connect): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    $declare = fn () => $channel->queue_declare('arguments.q', false, true, true, false, false, new AMQPTable([
        'x-expires' => 60000,
        'x-message-ttl' => 50000,
        'x-dead-letter-exchange' => 'amq.direct',
        'x-dead-letter-routing-key' => 'dead',
        'x-max-length' => 3,
        'x-max-length-bytes' => 1000,
        'x-overflow' => 'drop-head',
    ]));
    $first = $declare();
    foreach (['1', '2', '3', '4'] as $body) {
        $channel->batch_basic_publish(message($body), '', 'arguments.q');
    }
    $channel->publish_batch();
    $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    $again = $declare();
    $newest = bodies($channel, 'arguments.q');
    $channel->basic_publish(message('purged'), '', 'arguments.q');
    $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    return [
        'first' => $first,
        'again' => $again,
        'newest' => $newest,
        'purged' => $channel->queue_purge('arguments.q'),
        'deleted' => $channel->queue_delete('arguments.q'),
    ];
}
