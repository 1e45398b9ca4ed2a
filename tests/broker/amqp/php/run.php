<?php

// Plays one case against the broker on a port of this machine, and prints what the client saw as one line of JSON:
// php run.php PORT CASE [ARGUMENT...]. The library is php-amqplib, found in PHP's include path.
//
// A case is a function of `$connect`, which opens connections, and of its arguments.

namespace Judge;

use PhpAmqpLib\Connection\AMQPStreamConnection;

ini_set('display_errors', 'stderr');
ini_set('log_errors', '0');
require_once 'PhpAmqpLib/autoload.php';
require_once 'reading.php';
require_once 'connections.php';
require_once 'routing.php';
require_once 'publishing.php';
require_once 'consuming.php';
require_once 'deaths.php';
require_once 'values.php';
require_once 'refusals.php';
require_once 'phraseanet.php';

function main(string $port, string $case, string ...$rest): void
{
    $opened = [];
    $connect = function (mixed ...$options) use ($port, &$opened): AMQPStreamConnection {
        $options += ['host' => '127.0.0.1', 'port' => $port, 'user' => 'guest', 'password' => 'guest'];
        return $opened[] = new AMQPStreamConnection(...$options);
    };
    $seen = ("Judge\\$case")($connect, ...$rest);
    foreach ($opened as $connection) {
        $connection->close();
    }
    echo json_encode(shown($seen), JSON_THROW_ON_ERROR | JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES), "\n";
}

main(...array_slice($argv, 1));
