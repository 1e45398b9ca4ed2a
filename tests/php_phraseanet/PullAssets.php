<?php

/**
 * A round of pull mode (§4.4): the commits of each configured target, as far as none of their assets is at work.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use GuzzleHttp\Exception\GuzzleException;

final class PullAssets
{
    public function __construct(
        private Topology $topology,
        private Publisher $publisher,
        private JobRows $jobs,
        private Settings $settings,
    ) {
    }

    /** What an administrator does: purge, and send the one message that goes round from then on. */
    public function start(): void
    {
        $this->topology->purge('pullAssets');
        $this->publisher->publish('pullAssets', ['initTimestamp' => new \DateTime('now', new \DateTimeZone('UTC'))]);
    }

    /** One round. A target that fails ends it, also for those behind it (H24). */
    public function __invoke(array $payload): void
    {
        foreach ($this->settings->get(['workers', 'pull_assets'], []) as $name => $target) {
            try {
                $commits = $this->commits($name, $target);
            } catch (GuzzleException | \RuntimeException $failed) {
                fwrite(STDOUT, "pull of $name failed: {$failed->getMessage()}\n");
                return;
            }
            foreach ($commits as $commit) {
                if (!$commit['acknowledged'] && !$this->jobs->isRunning($commit['id'])) {
                    $this->enqueue($commit, $target);
                }
            }
        }
    }

    /** The first page of the list. Without a token, or after a 401 to one, a new one is asked for, once. */
    private function commits(string $name, array $target): array
    {
        $uploader = new Uploader($this->baseUrl($target), $target['verify_ssl']);
        $uri = "{$target['pullmodeUri']}&acknowledged=false";
        $token = $target['assetToken'] ?? null;
        $answer = $uploader->commits($uri, $token ?? $this->newToken($uploader, $name, $target));
        if ($token !== null && $answer->getStatusCode() === 401) {
            $answer = $uploader->commits($uri, $this->newToken($uploader, $name, $target));
        }
        if ($answer->getStatusCode() !== 200) {
            throw new \RuntimeException("the list was answered {$answer->getStatusCode()}");
        }
        return json_decode((string) $answer->getBody(), true, 512, JSON_THROW_ON_ERROR)['hydra:member'];
    }

    private function newToken(Uploader $uploader, string $name, array $target): string
    {
        $token = $uploader->token($target['clientId'], $target['clientSecret']);
        $this->settings->saveToken($name, $token);
        return $token;
    }

    private function enqueue(array $commit, array $target): void
    {
        $this->publisher->publish('assetsIngest', [
            'assets' => str_replace('/assets/', '', $commit['assets']),
            'publisher' => $commit['userId'],
            'commit_id' => $commit['id'],
            'token' => $commit['token'],
            'base_url' => $this->baseUrl($target),
            'type' => 'uploader pull',
            'verify_ssl' => $target['verify_ssl'],
        ]);
    }

    /** Scheme and host of what is pulled: port and path are dropped (H22). */
    private function baseUrl(array $target): string
    {
        ['scheme' => $scheme, 'host' => $host] = parse_url($target['pullmodeUri']);
        return "$scheme://$host";
    }
}
