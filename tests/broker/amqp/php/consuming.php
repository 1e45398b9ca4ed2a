<?php

// How messages are fetched, delivered and settled.

namespace Judge;

use PhpAmqpLib\Exception\AMQPBasicCancelException;
use PhpAmqpLib\Message\AMQPMessage;

/** A channel with a queue of its own that holds the given messages. */
function filled(callable $connect, string ...$bodies): array
{
    $channel = $connect()->channel();
    $channel->confirm_select();
    $queue = ownQueue($channel);
    foreach ($bodies as $body) {
        $channel->basic_publish(message($body), '', $queue);
    }
    $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    return [$channel, $queue];
}

/** What a message says and whether it has been delivered before. */
function seen(AMQPMessage $message): array
{
    return [$message->getBody(), $message->isRedelivered()];
}

/** Fetch, put back, fetch again, and find the queue empty. */
function get(callable $connect): array
{
    [$channel, $queue] = filled($connect, 'a', 'b');
    $first = $channel->basic_get($queue);
    $first->nack(true);
    $again = $channel->basic_get($queue);
    $again->ack();
    $last = $channel->basic_get($queue, true);
    $fields = fn ($message) => [
        $message->getDeliveryTag(),
        $message->isRedelivered(),
        $message->getMessageCount(),
        $message->getExchange(),
        $message->getRoutingKey() === $queue,
    ];
    return ['fields' => array_map($fields, [$first, $again, $last]), 'empty' => $channel->basic_get($queue)];
}

/** How many messages stay in the queue while two, then four are unacknowledged. */
function prefetch(callable $connect): array
{
    [$channel, $queue] = filled($connect, '1', '2', '3', '4', '5', '6', '7');
    $inbox = new Inbox($channel);
    $channel->basic_qos(0, 2, false);
    $inbox->consume($queue, false, 'slow');
    $two = $inbox->nextOnes(2);
    $counts = [ready($channel, $queue)];
    $two[1]->ack(true);
    $more = $inbox->nextOnes(2);
    $counts[] = ready($channel, $queue);
    $more[0]->ack();
    $next = $inbox->next();
    $counts[] = ready($channel, $queue);
    $bodies = array_map(fn ($message) => $message->getBody(), [...$two, ...$more, $next]);
    return ['bodies' => $bodies, 'counts' => $counts, 'consumerTag' => $next->getConsumerTag()];
}

/** ack, reject and nack, alone and for all up to a message; what is put back comes first, and says so. */
function settle(callable $connect): array
{
    [$channel, $queue] = filled($connect, '1', '2', '3', '4', '5', '6');
    $inbox = new Inbox($channel);
    $inbox->consume($queue);
    [$one, $two, $three, , $five, $six] = $inbox->nextOnes(6);
    $one->ack();
    $two->reject(false);
    $three->reject(true);
    $rejected = seen($inbox->next());
    $five->nack(true, true);
    $nacked = array_map(seen(...), $inbox->nextOnes(2));
    $six->nack(false, true);
    $channel->basic_recover(true);
    $recovered = $inbox->nextOnes(3);
    $recovered[2]->ack(true);
    $left = ready($channel, $queue);
    $recovered = array_map(seen(...), $recovered);
    return ['rejected' => $rejected, 'nacked' => $nacked, 'recovered' => $recovered, 'left' => $left];
}

/** After the client's cancel, messages stay in the queue, and those in hand can still be acknowledged. */
function cancel(callable $connect): array
{
    [$channel, $queue] = filled($connect, 'before');
    $inbox = new Inbox($channel);
    $tag = $inbox->consume($queue);
    $message = $inbox->next();
    $cancelled = $channel->basic_cancel($tag);
    $channel->basic_publish(message('after'), '', $queue);
    $channel->wait_for_pending_acks(ENDS_WITHIN_S);
    $message->ack();
    [, $messages, $consumers] = $channel->queue_declare($queue, true);
    return [
        'sameTag' => $cancelled === $tag,
        'messages' => $messages,
        'consumers' => $consumers,
        'unread' => $inbox->unread(),
        'consuming' => $channel->is_consuming(),
    ];
}

/** The queue goes while a consumer is there; the channel goes on. */
function cancelByTheBroker(callable $connect): array
{
    [$channel, $deleting] = [$connect()->channel(), $connect()->channel()];
    $channel->queue_declare('going.q');
    (new Inbox($channel))->consume('going.q', false, 'told');
    $deleting->queue_delete('going.q');
    try {
        $channel->wait(null, false, ENDS_WITHIN_S);
    } catch (AMQPBasicCancelException $cancelled) {
        $declared = $channel->queue_declare('going.q', false, false, true);
        return ['consumerTag' => $cancelled->consumerTag, 'declared' => $declared];
    }
}
