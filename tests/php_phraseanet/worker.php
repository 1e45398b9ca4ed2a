<?php

/**
 * The workers of a small Phraseanet of our own, as one process (§4.1 to §4.6): a stranger who judges phrasim's broker
 * and upload service by what Guzzle and php-amqplib make of them.
 *
 *     php worker.php SETTINGS
 *
 * SETTINGS is a file as Settings.php tells of it. Where it has targets to pull, polling is started, too. The process
 * says `consuming` when it is ready, tells on standard output of a poll that failed, on standard error of work that
 * died, and ends in order at SIGTERM.
 *
 * What it does is PROTOCOL's §4 in PHP, and nothing of it is phrasim's: Topology.php (§4.1), Publisher.php (§4.2),
 * Consumer.php (§4.3), PullAssets.php (§4.4), AssetsIngest.php (§4.5), CreateRecord.php (§4.6). The endpoint of push
 * mode is router.php (§3).
 */

declare(strict_types=1);

namespace SmallPhraseanet;

require_once __DIR__ . '/bootstrap.php';

function main(Settings $settings): void
{
    $connection = Topology::connect($settings);
    $topology = new Topology($connection, $settings);
    $publisher = new Publisher($topology);
    $jobs = new JobRows();
    $works = [
        'assetsIngest' => new AssetsIngest($publisher, $jobs),
        'createRecord' => new CreateRecord($publisher, $jobs, $settings),
    ];
    if ($settings->get(['workers', 'pull_assets'])) {
        $works['pullAssets'] = new PullAssets($topology, $publisher, $jobs, $settings);
    }
    $consumer = new Consumer($connection->channel(), $topology, $publisher, $works);
    pcntl_async_signals(true);
    pcntl_signal(SIGTERM, fn () => $consumer->end());
    $consumer->begin();
    if (isset($works['pullAssets'])) {
        $works['pullAssets']->start();
    }
    fwrite(STDOUT, "consuming\n");
    $consumer->run();
    $connection->close();
}

main(new Settings($argv[1]));
