<?php

/**
 * The work on a commit (§4.5): job rows, a look at the first asset, one createRecord message for each asset.
 *
 * This Phraseanet has no users, so that no submitter is ever found and no story made.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use GuzzleHttp\Exception\GuzzleException;

final class AssetsIngest
{
    public function __construct(private Publisher $publisher, private JobRows $jobs)
    {
    }

    public function __invoke(array $payload): void
    {
        ['assets' => $assets, 'commit_id' => $commit, 'token' => $token, 'base_url' => $baseUrl] = $payload;
        $verifySsl = $payload['verify_ssl'] ?? true;
        $this->jobs->insert($commit, $assets);
        try {
            (new Uploader($baseUrl, $verifySsl))->asset($assets[0] ?? '', $token);
        } catch (GuzzleException $failed) {
            $this->publisher->tryAgain('assetsIngest', $payload, $failed->getMessage());
            return;
        }
        foreach ($assets as $asset) {
            $this->publisher->publish('createRecord', [
                'asset' => $asset,
                'publisher' => $payload['publisher'],
                'assetToken' => $token,
                'storyId' => null,
                'base_url' => $baseUrl,
                'commit_id' => $commit,
                'verify_ssl' => $verifySsl,
            ]);
        }
    }
}
