<?php

/**
 * The endpoint by which a small Phraseanet of our own is told of commits (§3); worker.php is the rest of it.
 *
 *     PHRASEANET_SETTINGS=settings.json php -S 127.0.0.1:0 router.php
 *
 * The settings are a file as Settings.php tells of it. They are read at each request, so that the broker and the tokens
 * may be written there later. Each request is told in the file `requests`, with the status that it was answered.
 *
 * The body is checked by hand for what §3 says of the schema. There is no YAML here and no JSONP.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

require_once __DIR__ . '/bootstrap.php';

ini_set('default_mimetype', ''); // a refusal without a body has no type either

const PATH = '/api/v1/upload/enqueue/';
const REQUIRED = ['assets', 'publisher', 'token', 'base_url', 'commit_id'];
const ERRORS = [
    404 => ['Not Found', 'Requested resource is not found'],
    405 => ['Method Not Allowed', 'Attempting to use POST with a GET-only endpoint, or vice-versa'],
    422 => ['Unprocessable Entity', 'Request content is unprocessable'],
    500 => ['Internal Server Error', 'Internal Server Error'],
];

function answer(Settings $settings, string $method, string $path, string $body): void
{
    if ($path !== PATH) {
        envelope(404, "No route found for \"$method $path\"");
    } elseif ($method !== 'POST') {
        header('Allow: POST');
        envelope(405, "No route found for \"$method $path\": Method Not Allowed (Allow: POST)");
    } elseif (isAllowed($settings)) {
        enqueue($settings, $body);
    }
}

/** Whether the caller bears a token that is good; else the refusal is written, as the OAuth library writes it. */
function isAllowed(Settings $settings): bool
{
    $header = $_SERVER['HTTP_AUTHORIZATION'] ?? null;
    $parameter = $_GET['oauth_token'] ?? $_POST['oauth_token'] ?? null;
    if ($header !== null && ($parameter !== null || !str_starts_with($header, 'OAuth '))) {
        http_response_code(400);
        json(['error' => 'invalid_request']);
        return false;
    }
    $token = $header === null ? $parameter : substr($header, strlen('OAuth '));
    [$status, $error] = match (true) {
        $token === null => [400, 'invalid_request'],
        in_array($token, $settings->get(['oauth_tokens'], []), true) => [200, null],
        in_array($token, $settings->get(['expired_tokens'], []), true) => [401, 'expired_token'],
        default => [401, 'invalid_token'],
    };
    if ($error !== null) {
        header("WWW-Authenticate: OAuth realm='Service', error='$error'");
        http_response_code($status); // behind that header, at which PHP itself says 401
    }
    return $error === null;
}

/** Publish what was told, and give it back. A broker that is away is told on standard error, and nowhere else (H1). */
function enqueue(Settings $settings, string $body): void
{
    $told = json_decode($body);
    $violation = json_last_error() === JSON_ERROR_NONE ? violation($told) : json_last_error_msg();
    if ($violation !== null) {
        envelope(422, $violation);
        return;
    }
    try {
        $connection = Topology::connect($settings);
        (new Publisher(new Topology($connection, $settings)))
            ->publish('assetsIngest', [...(array) $told, 'type' => 'uploader push']);
        $connection->close();
    } catch (\Exception $lost) {
        complain("message lost: $lost");
    }
    envelope(200, null, ['data' => $told]);
}

/** The first violation of the schema, in a sentence; null where there is none. */
function violation(mixed $told): ?string
{
    if (!$told instanceof \stdClass) {
        return 'An object is required';
    }
    foreach (REQUIRED as $name) {
        if (!property_exists($told, $name)) {
            return "The property $name is required";
        }
        if ($name === 'assets' ? !is_array($told->assets) : !is_string($told->$name)) {
            return "The property $name has another type";
        }
    }
    return null;
}

function envelope(int $status, ?string $details, array $response = []): void
{
    http_response_code($status);
    [$type, $message] = ERRORS[$status] ?? [null, null];
    $meta = [
        'api_version' => '2.0.0',
        'request' => "{$_SERVER['REQUEST_METHOD']} " . path(),
        'response_time' => date(\DateTimeInterface::ATOM),
        'http_code' => $status,
        'error_type' => $type,
        'error_message' => $message,
        'error_details' => $details,
        'charset' => 'UTF-8',
    ];
    json(['meta' => $meta, 'response' => (object) $response]);
}

function json(array $value): void
{
    header('Content-Type: application/json');
    echo json_encode($value, JSON_THROW_ON_ERROR);
}

/** Tell something on standard error, where PHP's server tells of requests. */
function complain(string $text): void
{
    file_put_contents('php://stderr', "phraseanet: $text\n");
}

function path(): string
{
    return explode('?', $_SERVER['REQUEST_URI'])[0];
}

function main(Settings $settings): void
{
    $body = file_get_contents('php://input');
    try {
        answer($settings, $_SERVER['REQUEST_METHOD'], path(), $body);
    } catch (\Throwable $failed) {
        complain("request failed: $failed");
        envelope(500, 'An exception occurred');
    }
    $settings->tell('requests', [
        'method' => $_SERVER['REQUEST_METHOD'],
        'target' => $_SERVER['REQUEST_URI'],
        'headers' => array_change_key_case(getallheaders()),
        'body' => $body,
        'status' => http_response_code(),
    ]);
}

main(new Settings(getenv('PHRASEANET_SETTINGS')));
