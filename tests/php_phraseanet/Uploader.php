<?php

/**
 * The upload service, asked by Guzzle: paths relative to its base URL, redirects followed, an exception from 400 on.
 *
 * Guzzle sends no header `Accept` by itself, and none is set here: what is answered is JSON-LD (§4.4).
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use GuzzleHttp\Client;
use Psr\Http\Message\ResponseInterface;

final class Uploader
{
    private const TIMEOUT_S = 10;

    private Client $http;

    public function __construct(string $baseUrl, bool $verifySsl)
    {
        $this->http = new Client(['base_uri' => $baseUrl, 'verify' => $verifySsl, 'timeout' => self::TIMEOUT_S]);
    }

    /** The metadata of an asset. */
    public function asset(string $id, string $token): array
    {
        $answer = $this->http->get("assets/$id", ['headers' => ['Authorization' => "AssetToken $token"]]);
        return json_decode((string) $answer->getBody(), true, 512, JSON_THROW_ON_ERROR);
    }

    /** Fetch a file by its signed URL, which is good without a header; the status of what is in the file then. */
    public function download(string $url, string $file): int
    {
        return $this->http->get($url, ['sink' => $file])->getStatusCode();
    }

    public function acknowledge(string $id, string $token): void
    {
        $this->http->post("assets/$id/ack", [
            'headers' => ['Authorization' => "AssetToken $token"],
            'json' => ['acknowledged' => true],
        ]);
    }

    /** The list of commits, whatever is answered. */
    public function commits(string $uri, string $token): ResponseInterface
    {
        return $this->http->get($uri, ['headers' => ['Authorization' => "Bearer $token"], 'http_errors' => false]);
    }

    /** A token for the list. */
    public function token(string $clientId, string $clientSecret): string
    {
        $answer = $this->http->post('/oauth/v2/token', [
            'json' => [
                'client_id' => $clientId,
                'client_secret' => $clientSecret,
                'grant_type' => 'client_credentials',
                'scope' => 'commit:list',
            ],
        ]);
        return json_decode((string) $answer->getBody(), true, 512, JSON_THROW_ON_ERROR)['access_token'];
    }
}
