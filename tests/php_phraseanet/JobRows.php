<?php

/**
 * The rows that tell of each asset's work (§4.5, §4.6), by which a pulled commit is known to be at work (§4.4).
 *
 * They live as long as the worker.
 */

declare(strict_types=1);

namespace SmallPhraseanet;

final class JobRows
{
    /** @var JobRow[] */
    private array $rows = [];

    /** Insert a running row for each asset; a second attempt has a second set (H10). */
    public function insert(string $commit, array $assets): void
    {
        foreach ($assets as $asset) {
            $this->rows[] = new JobRow($commit, $asset);
        }
    }

    /** The first row of an asset that has no time of its end. */
    public function unfinished(string $commit, string $asset): JobRow
    {
        foreach ($this->rows as $row) {
            if ($row->commit === $commit && $row->asset === $asset && $row->finished === null) {
                return $row;
            }
        }
        throw new \RuntimeException("asset $asset of commit $commit has no job row that is not finished");
    }

    public function isRunning(string $commit): bool
    {
        foreach ($this->rows as $row) {
            if ($row->commit === $commit && $row->status === 'running') {
                return true;
            }
        }
        return false;
    }
}
