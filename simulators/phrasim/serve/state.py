"""What the participants of a landscape hold: `control.yaml`'s State."""

from typing import Any

from phrasim.broker.client import BrokerError
from phrasim.edge.fault_reading import fault_value
from phrasim.edge.faults import FaultAccount
from phrasim.serve.landscape import Landscape
from phrasim.testbed import SERVICES, Testbed


async def state_of(landscape: Landscape) -> dict[str, Any]:
    """The state as a value for JSON. Times are ISO 8601, sizes in bytes; events are counted from 1.

    A real broker that does not tell of its queues has none here.
    """
    testbed, network, addressing = landscape.testbed, landscape.network, landscape.network.addressing
    return {
        "mode": testbed.setting.mode,
        "profile": testbed.setting.profile,
        "time": testbed.clock.now().isoformat(),
        "participants": {
            **{
                name: {"role": addressing.role(name), "url": addressing.urls.get(name) and addressing.public_url(name)}
                for name in SERVICES
            },
            "broker": {"role": addressing.role("broker"), "url": landscape.broker_url},
        },
        **_upload(testbed),
        "records": records_of(testbed),
        "counts": dict(testbed.services.counts()),
        "queues": await queues_of(testbed),
        "faults": [set_fault(account) for account in network.faults.all()],
        "events": {"first": network.journal.first + 1, "next": network.journal.next + 1},
    }


async def queues_of(testbed: Testbed) -> list[dict[str, Any]]:
    """The `queues` of the state."""
    try:
        queues = await testbed.broker.queues()
    except BrokerError:
        return []
    return [
        {"name": name, "ready": depth.ready, "unacknowledged": depth.unacknowledged} for name, depth in queues.items()
    ]


def records_of(testbed: Testbed, after: str | None = None) -> list[dict[str, Any]]:
    """The `records` of the state; those behind the last one of the asset `after`. Raises `KeyError` if it has none."""
    new = []
    for record in reversed(testbed.phraseanet.records):
        if record.asset_id == after:
            break
        new.append(record)
    else:
        if after is not None:
            raise KeyError(after)
    return [
        {
            "assetId": record.asset_id,
            "commitId": record.commit_id,
            "publisher": record.publisher,
            "originalName": record.original_name,
            "mimeType": record.mime_type,
            "size": record.size,
            "sha256": record.sha256,
            "formData": record.form_data,
        }
        for record in reversed(new)
    ]


def set_fault(account: FaultAccount) -> dict[str, Any]:
    """`control.yaml`'s SetFault."""
    return {
        "id": account.id,
        "fault": fault_value(account.fault),
        "calls": account.calls,
        "struck": account.struck,
    }


def _upload(testbed: Testbed) -> dict[str, Any]:
    return {
        "assets": [
            {
                "id": asset.id,
                "originalName": asset.original_name,
                "mimeType": asset.file.mime_type,
                "size": asset.file.size,
                "sha256": asset.file.sha256,
                "userId": asset.user_id,
                "createdAt": asset.created_at.isoformat(),
                "commit": None if asset.commit is None else asset.commit.id,
            }
            for asset in testbed.upload.assets
        ],
        "commits": [
            {
                "id": commit.id,
                "userId": commit.user_id,
                "token": commit.token,
                "formData": commit.form_data,
                "assets": list(commit.asset_ids),
                "acknowledged": commit.acknowledged,
                "createdAt": commit.created_at.isoformat(),
            }
            for commit in testbed.upload.commits
        ],
    }
