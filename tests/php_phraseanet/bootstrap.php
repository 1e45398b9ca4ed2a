<?php

/**
 * What both programs of this folder begin with: the libraries, the classes here, and no warning that passes unseen.
 *
 * The libraries are Guzzle and php-amqplib, as Debian packages them (php-curl, php-guzzlehttp-guzzle, php-amqplib),
 * found in PHP's include path, which holds /usr/share/php.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

error_reporting(E_ALL);
ini_set('display_errors', 'stderr');
ini_set('log_errors', '0');
set_error_handler(function (int $severity, string $text, string $file, int $line): bool {
    if (!(error_reporting() & $severity)) {
        return false; // what somebody silenced by @
    }
    throw new \ErrorException($text, 0, $severity, $file, $line);
});

require_once 'GuzzleHttp/autoload.php';
require_once 'PhpAmqpLib/autoload.php';

spl_autoload_register(function (string $class): void {
    if (str_starts_with($class, __NAMESPACE__ . '\\')) {
        require_once __DIR__ . '/' . substr($class, strlen(__NAMESPACE__) + 1) . '.php';
    }
});
