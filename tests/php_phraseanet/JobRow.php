<?php

/**
 * One row of `JobRows`. After an attempt that failed it is `finished`, and yet without a time of its end (§4.6, H9).
 */

declare(strict_types=1);

namespace SmallPhraseanet;

final class JobRow
{
    public string $status = 'running';
    public ?int $finished = null;
    public ?string $info = null;

    public function __construct(public readonly string $commit, public readonly string $asset)
    {
    }
}
