<?php

/**
 * The work on an asset (§4.6): metadata, file, record or quarantine, acknowledgement.
 *
 * Only a failed download is tried again; whatever else fails ends the work, which is lost then. A record is a line in
 * the file `records` of the settings. Of border control there is the check for the same bytes. Any collection is taken,
 * and metadata fields and status bits are left alone.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

use GuzzleHttp\Exception\GuzzleException;

final class CreateRecord
{
    /** @var array<string, true> the digests of what is recorded */
    private array $known = [];

    public function __construct(private Publisher $publisher, private JobRows $jobs, private Settings $settings)
    {
    }

    public function __invoke(array $payload): void
    {
        ['asset' => $asset, 'assetToken' => $token] = $payload;
        $uploader = new Uploader($payload['base_url'], $payload['verify_ssl']);
        $metadata = $uploader->asset($asset, $token);
        $row = $this->jobs->unfinished($payload['commit_id'], $asset);
        $row->status = 'running';
        $file = tempnam(sys_get_temp_dir(), 'asset');
        try {
            $this->download($uploader, $metadata['url'], $file);
            if ($this->record($payload, $metadata, $file)) {
                $uploader->acknowledge($asset, $token);
                [$row->status, $row->finished] = ['finished', time()];
            }
        } catch (DownloadFailed $failed) {
            [$row->status, $row->info] = ['finished', 'attempt ' . ($payload['count'] ?? 1)];
            $this->publisher->tryAgain('createRecord', $payload, $failed->getMessage());
        } finally {
            unlink($file);
        }
    }

    private function download(Uploader $uploader, string $url, string $file): void
    {
        try {
            $status = $uploader->download($url, $file);
        } catch (GuzzleException $failed) {
            throw new DownloadFailed($failed->getMessage(), 0, $failed);
        }
        if ($status !== 200) {
            throw new DownloadFailed("the download was answered $status");
        }
    }

    /** Take a file as a record, or into quarantine; false where the form says no collection, and nothing is done (H4). */
    private function record(array $payload, array $metadata, string $file): bool
    {
        $collection = $metadata['formData']['collection_destination'] ?? null;
        if ($collection === null) {
            return false;
        }
        $sha256 = hash_file('sha256', $file);
        $isKnown = isset($this->known[$sha256]);
        $this->known[$sha256] = true;
        $this->settings->tell('records', [
            'asset' => $payload['asset'],
            'commit_id' => $payload['commit_id'],
            'publisher' => $payload['publisher'],
            'count' => $payload['count'] ?? null,
            'quarantined' => $isKnown,
            'collection' => $collection,
            'originalName' => $metadata['originalName'],
            'size' => filesize($file),
            'sha256' => $sha256,
        ]);
        return true;
    }
}
