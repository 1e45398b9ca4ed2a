<?php

// What a message is made of comes back as it was sent.

namespace Judge;

use PhpAmqpLib\Message\AMQPMessage;
use PhpAmqpLib\Wire\AMQPAbstractCollection;
use PhpAmqpLib\Wire\AMQPArray;
use PhpAmqpLib\Wire\AMQPDecimal;
use PhpAmqpLib\Wire\AMQPTable;

/** Send one message to a queue of our own, and get it by consuming. */
function thereAndBack(callable $connect, AMQPMessage $message): AMQPMessage
{
    $channel = $connect()->channel();
    $queue = ownQueue($channel);
    $inbox = new Inbox($channel);
    $inbox->consume($queue, true);
    $channel->basic_publish($message, '', $queue);
    return $inbox->next();
}

/** Bytes without a pattern, the same in every run. */
function noise(int $size): string
{
    $bytes = '';
    for ($n = 0; strlen($bytes) < $size; $n++) {
        $bytes .= hash('sha256', "$n", true);
    }
    return substr($bytes, 0, $size);
}

/** Send bodies of these sizes; whether each came as it went. */
function bodiesOfSizes(callable $connect, string ...$sizes): array
{
    $same = function (string $size) use ($connect): bool {
        $sent = noise((int) $size);
        return thereAndBack($connect, message($sent))->getBody() === $sent;
    };
    return array_map($same, $sizes);
}

/** The fields of a table or the items of an array, each with the letter of its type on the wire. */
function typed(AMQPAbstractCollection $collection): array
{
    $fields = [];
    foreach ($collection as $key => [$type, $value]) {
        $letter = AMQPAbstractCollection::getSymbolForDataType($type);
        $fields[$key] = [$letter, $value instanceof AMQPAbstractCollection ? typed($value) : $value];
    }
    return $fields;
}

/** Headers of every type that the client can send, which floats are not: as it sent and as it got them, with types. */
function headers(callable $connect): array
{
    $table = new AMQPTable([
        'nothing' => null,
        'yes' => true,
        'no' => false,
        'text' => 'Zürich — 東京',
        'empty' => '',
        'int' => -2147483648,
        'long' => 2 ** 40,
        'at' => new \DateTime('@1760000000'),
        'price' => new AMQPDecimal(1999, 2),
        'list' => [1, 'two', [null, ['three' => [true]]]],
        'table' => ['inner' => ['innermost' => ['x', new \DateTime('@1')]]],
    ]);
    $table->set('tiny', -128, AMQPAbstractCollection::T_INT_SHORTSHORT);
    $table->set('octet', 255, AMQPAbstractCollection::T_INT_SHORTSHORT_U);
    $table->set('short', -32768, AMQPAbstractCollection::T_INT_SHORT);
    $table->set('word', 65535, AMQPAbstractCollection::T_INT_SHORT_U);
    $table->set('unsigned', 4294967295, AMQPAbstractCollection::T_INT_LONG_U);
    $table->set('bytes', "\0\1\2", AMQPAbstractCollection::T_BYTES);
    $table->set('nobody', new AMQPTable(), AMQPAbstractCollection::T_TABLE);
    $table->set('none', new AMQPArray(), AMQPAbstractCollection::T_ARRAY);
    $message = thereAndBack($connect, message('', ['application_headers' => $table]));
    return ['sent' => typed($table), 'came' => typed($message->get('application_headers'))];
}

/** Every property that the client can set. */
function properties(callable $connect): array
{
    $properties = [
        'content_type' => 'application/json',
        'content_encoding' => 'utf-8',
        'delivery_mode' => 2,
        'priority' => 4,
        'correlation_id' => 'correlation',
        'reply_to' => 'reply',
        'expiration' => '60000',
        'message_id' => 'message',
        'timestamp' => 1760000000,
        'type' => 'assetsIngest',
        'user_id' => 'guest',
        'app_id' => 'phraseanet',
        'cluster_id' => 'cluster',
    ];
    return ['sent' => $properties, 'came' => thereAndBack($connect, message('{}', $properties))->get_properties()];
}
