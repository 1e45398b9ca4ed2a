<?php

// Messages to send, confirms, and messages that come back.

namespace Judge;

use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPTable;

/** A message to send. */
function message(string $body, array $properties = [], ?array $headers = null): AMQPMessage
{
    if ($headers !== null) {
        $properties['application_headers'] = new AMQPTable($headers);
    }
    return new AMQPMessage($body, $properties);
}

/** Publish so many messages, and list what is confirmed. */
function confirms(callable $connect, string $count): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    $queue = ownQueue($channel);
    $acked = [];
    $channel->set_ack_handler(function ($message) use (&$acked) {
        $acked[] = (int) $message->getBody();
    });
    for ($n = 0; $n < (int) $count; $n++) {
        $channel->basic_publish(message("$n", ['delivery_mode' => 2]), '', $queue);
    }
    $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    return ['acked' => $acked, 'ready' => ready($channel, $queue)];
}

/** Publish three messages to a queue that takes only one. */
function nackedPublishes(callable $connect): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    $arguments = new AMQPTable(['x-max-length' => 1, 'x-overflow' => 'reject-publish']);
    [$queue] = $channel->queue_declare('', false, false, true, true, false, $arguments);
    $answers = [];
    $channel->set_ack_handler(function ($message) use (&$answers) {
        $answers[] = ['ack', $message->getBody()];
    });
    $channel->set_nack_handler(function ($message) use (&$answers) {
        $answers[] = ['nack', $message->getBody()];
    });
    foreach (['1', '2', '3'] as $body) {
        $channel->basic_publish(message($body), '', $queue);
        $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    }
    return $answers;
}

/** Publish a mandatory message that no queue takes; the order in which its return and its confirm come. */
function mandatory(callable $connect): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    $events = [];
    $channel->set_return_listener(function ($code, $text, $exchange, $key, $message) use (&$events) {
        $events[] = [$code, $text, $exchange, $key, $message->getBody(), headersOf($message)];
    });
    $channel->set_ack_handler(function ($message) use (&$events) {
        $events[] = 'ack';
    });
    $channel->basic_publish(message('lost', headers: ['asset' => 'a']), 'amq.topic', 'nobody.cares', true);
    $channel->wait_for_pending_acks_returns(ENDS_WITHIN_S);
    return $events;
}
