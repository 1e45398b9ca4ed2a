"""What a scenario gives the deployed services, as a value."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from phrasim.documents.quantity import seconds, size_bytes
from phrasim.phraseanet.deployed.queues import QueueSettings
from phrasim.phraseanet.deployed.state import Collection, User
from phrasim.testbed.deployed_setting import DeployedSetting, TargetSetting
from phrasim.upload.deployed.state import Limits


def deployed_setting(given: Mapping[str, Any]) -> DeployedSetting:
    """The setting that `given` of a scenario describes; what it leaves out has its default."""
    phraseanet = given.get("phraseanet", {})
    told: dict[str, Any] = {
        "targets": _each(_target, given.get("targets")),
        "limits": None if "limits" not in given else _limits(given["limits"]),
        "grace": None if "grace" not in given else seconds(given["grace"]),
        "url_lifetime": None if "urlLifetime" not in given else int(seconds(given["urlLifetime"])),
        "embed_assets": given.get("embedAssets"),
        "collections": _each(_collection, phraseanet.get("collections")),
        "users": _each(_user, phraseanet.get("users")),
        "processes_max": phraseanet.get("processes"),
        "queues": {name: _queue(one) for name, one in phraseanet.get("queues", {}).items()},
        "pull_uris": _each(str, phraseanet.get("pullUris")),
    }
    return replace(DeployedSetting(), **{name: value for name, value in told.items() if value is not None})


def _each(read: Any, values: Any) -> Any:
    return None if values is None else tuple(map(read, values))


def _target(value: Mapping[str, Any]) -> TargetSetting:
    authorization = value.get("authorization", {})
    told = {
        "url": value.get("url"),
        "scheme": authorization.get("scheme"),
        "key": authorization.get("key"),
        "params": value.get("params"),
        "form_schema": value.get("formSchema"),
        "enabled": value.get("enabled"),
        "hidden": value.get("hidden"),
    }
    target = replace(
        TargetSetting(value["slug"]), **{name: written for name, written in told.items() if written is not None}
    )
    if "defaultDestination" in value:
        return replace(target, default_destination=value["defaultDestination"])
    return target


def _limits(value: Mapping[str, Any]) -> Limits:
    return Limits(value.get("files"), size_bytes(value["size"]) if "size" in value else None)


def _collection(value: Mapping[str, Any]) -> Collection:
    usual = Collection(value["id"])
    return Collection(value["id"], value.get("databox", usual.databox_id), tuple(value.get("fields", usual.fields)))


def _user(value: Mapping[str, Any]) -> User:
    return User(value["id"], value["email"], tuple(value.get("mayModify", ())))


def _queue(value: Mapping[str, Any]) -> QueueSettings:
    ttl = value.get("ttlRetry")
    return QueueSettings(None if ttl is None else round(seconds(ttl) * 1000), value.get("maxRetry"))
