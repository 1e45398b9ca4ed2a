<?php

/**
 * The file of an asset could not be fetched: what `CreateRecord` tries again (§4.6, step 3).
 */

declare(strict_types=1);

namespace SmallPhraseanet;

final class DownloadFailed extends \RuntimeException
{
}
