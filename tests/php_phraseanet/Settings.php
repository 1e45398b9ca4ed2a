<?php

/**
 * The configuration of this Phraseanet: a JSON file, read anew whenever something is asked of it.
 *
 *     {
 *       "oauth_tokens": ["…"], "expired_tokens": ["…"],                      who may enqueue (§3)
 *       "broker": {"host": …, "port": …, "user": …, "password": …, "vhost": …},
 *       "workers": {
 *         "queues": {"createRecord": {"ttl_retry": 200, "max_retry": 3}},    times in ms; what is left out: §4.1
 *         "pull_assets": {"name": {"pullmodeUri": …, "clientId": …, "clientSecret": …, "verify_ssl": true}}
 *       },
 *       "requests": "file", "records": "file"                                where is told what happened, as JSON Lines
 *     }
 */

declare(strict_types=1);

namespace SmallPhraseanet;

final class Settings
{
    public function __construct(private string $path)
    {
    }

    /** The value at the end of the keys, or what stands in for one that is not there. */
    public function get(array $keys, mixed $otherwise = null): mixed
    {
        $value = $this->read();
        foreach ($keys as $key) {
            if (!isset($value[$key])) {
                return $otherwise;
            }
            $value = $value[$key];
        }
        return $value;
    }

    /** Keep the token of a target that is pulled (§4.4); who reads the file meanwhile reads the old one, or the new. */
    public function saveToken(string $target, string $token): void
    {
        $all = $this->read();
        $all['workers']['pull_assets'][$target]['assetToken'] = $token;
        file_put_contents("$this->path.new", json_encode($all, JSON_THROW_ON_ERROR));
        rename("$this->path.new", $this->path);
    }

    /** Append a line of JSON to one of the files that the settings name. */
    public function tell(string $file, array $what): void
    {
        $line = json_encode($what, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE);
        file_put_contents($this->get([$file]), "$line\n", FILE_APPEND | LOCK_EX);
    }

    private function read(): array
    {
        return json_decode(file_get_contents($this->path), true, 512, JSON_THROW_ON_ERROR);
    }
}
