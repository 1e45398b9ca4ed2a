"""`POST /commit` (§2.3, column *now*) and what becomes of it (§2.6, H16, H18)."""

import re
from dataclasses import replace
from typing import Any

import pytest

from phrasim.upload.deployed.state import Limits
from phrasim.upload.deployed.target import Target

PRESS = Target(id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15", slug="press", name="Press pictures")
OTHER = replace(PRESS, id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e16", slug="other")
NO_ID = "00000000-0000-4000-8000-000000000000"


def test_the_answer_is_true_and_the_commit_is_made_afterwards(play_upload: Any) -> None:
    """§2.3, §2.6: until then the asset is nobody's."""

    async def main(upload: Any) -> None:
        (asset_id,) = await upload.assets(b"one")
        answer = await upload.client.post(
            "/commit", headers=upload.as_("user"), json={"files": [asset_id], "targetSlug": "press"}
        )
        assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, True, "application/json")
        assert upload.state.commits == ()
        assert (await upload.get(f"/assets/{asset_id}", "admin")).status_code == 403
        await upload.settle()
        (commit,) = upload.state.commits
        assert re.fullmatch("[0-9a-f]{42}", commit.token)
        assert commit.user_id == "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"
        assert (await upload.get(f"/assets/{asset_id}", f"AssetToken {commit.token}")).status_code == 200

    play_upload(main, hold=True)


@pytest.mark.parametrize(
    ("sent", "params", "destination", "kept"),
    [
        ({}, {}, None, {}),
        ({"title": "x", "__notify_email": True, "__other": 1}, {}, None, {"title": "x"}),
        ({"title": "x", "a": 1}, {"title": "operator", "b": 2}, None, {"title": "operator", "a": 1, "b": 2}),
        ({"title": "x"}, {}, "7", {"title": "x", "collection_destination": "7"}),
        ({"collection_destination": "3"}, {}, "7", {"collection_destination": "3"}),
        ({"collection_destination": None}, {}, "7", {"collection_destination": "7"}),
        ({"collection_destination": "3"}, {"collection_destination": "5"}, "7", {"collection_destination": "5"}),
        ({}, {"collection_destination": "5"}, "7", {"collection_destination": "5"}),
    ],
)
def test_the_operators_keys_win_and_the_destination_is_filled_in(
    play_upload: Any, sent: dict[str, Any], params: dict[str, Any], destination: str | None, kept: dict[str, Any]
) -> None:
    """§2.3: `__*` is stripped; target params win; the default destination if still unset."""
    target = replace(PRESS, params=params, default_destination=destination)

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", formData=sent)
        assert commit.form_data == kept
        (asset_id,) = commit.assets
        assert (await upload.get(f"/assets/{asset_id}", "admin")).json()["formData"] == kept

    play_upload(main, targets=(target,))


@pytest.mark.parametrize(
    ("fields", "notify"),
    [
        ({}, False),
        ({"notify": True}, True),
        ({"formData": {"__notify": True}}, True),
        ({"formData": {"__notify": 1}}, True),
        ({"formData": {"__notify": "yes"}}, True),
        ({"formData": {"__notify": "0"}}, False),
        ({"formData": {"__notify": ""}}, False),
        ({"formData": {"__notify": False}, "notify": True}, True),
        ({"formData": {"__notify_email": True}}, False),
    ],
)
def test_notify_is_set_by_a_field_or_by_the_form(play_upload: Any, fields: dict[str, Any], notify: bool) -> None:
    """§2.3: `__notify` is judged as PHP does; `__notify_email` means nothing any more."""

    async def main(upload: Any) -> None:
        assert (await upload.committed(b"one", **fields)).notify is notify

    play_upload(main)


def test_user_and_locale_are_the_servers_own(play_upload: Any) -> None:
    """§2.3."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", userId="x", locale="fr", schemaId="x", options={"a": 1})
        assert (commit.user_id, commit.locale, commit.options) == (
            "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
            "en",
            {"a": 1},
        )

    play_upload(main)


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"target": f"/targets/{OTHER.id}"}, "other"),
        ({"target": f"/targets/{OTHER.id}", "targetSlug": "press"}, "press"),
        ({"target": f"/targets/{OTHER.id}", "targetSlug": ""}, "other"),
        ({"target": f"/targets/{NO_ID}", "targetSlug": "press"}, "press"),
    ],
)
def test_the_slug_overrides_the_target(play_upload: Any, fields: dict[str, str], slug: str) -> None:
    """§2.3."""

    async def main(upload: Any) -> None:
        assert (await upload.committed(b"one", **fields)).target.slug == slug

    play_upload(main, targets=(PRESS, OTHER))


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [
        ({"targetSlug": "x"}, 400, 'Target "x" does not exist'),
        ({"target": f"/targets/{NO_ID}"}, 400, f'Item not found for "/targets/{NO_ID}".'),
        ({"target": None}, 500, "Internal Server Error"),
        ({"targetSlug": ""}, 500, "Internal Server Error"),
    ],
)
def test_a_commit_needs_a_target_that_exists(play_upload: Any, fields: dict[str, Any], status: int, text: str) -> None:
    """§2.3: neither of the two is a type error of the program."""

    async def main(upload: Any) -> None:
        answer = await upload.post_commit([], **fields)
        assert (answer.status_code, answer.json()["detail"]) == (status, text)
        await upload.settle()
        assert upload.state.commits == ()

    play_upload(main)


@pytest.mark.parametrize(
    ("limits", "files", "text"),
    [
        (Limits(files_max=2), 3, "Number of files exceeded (3 > 2)"),
        (Limits(bytes_max=9), 2, "Max commit size exceeded (10 > 9)"),
        (Limits(files_max=1, bytes_max=1), 2, "Number of files exceeded (2 > 1)"),
        (Limits(files_max=2, bytes_max=10), 2, None),
        (Limits(), 5, None),
    ],
)
def test_a_limit_may_be_reached_and_not_exceeded(
    play_upload: Any, limits: Limits, files: int, text: str | None
) -> None:
    """§2.3; each file has 5 bytes."""

    async def main(upload: Any) -> None:
        answer = await upload.post_commit(await upload.assets(*[b"12345"] * files))
        assert answer.status_code == (200 if text is None else 400)
        assert text is None or answer.json()["detail"] == text

    play_upload(main, limits=limits)


SCHEMA = {"type": "object", "required": ["title"], "properties": {"title": {}, "note": {}}}


@pytest.mark.parametrize(
    ("form", "errors"),
    [
        ({"title": "x", "note": "y", "__any": 1}, None),
        ({"title": 0}, None),
        ({}, '{"title":["This value should not be blank."]}'),
        ({"title": ""}, '{"title":["This value should not be blank."]}'),
        ({"title": False}, '{"title":["This value should not be blank."]}'),
        ({"title": "x", "else": 1}, '{"_form":["This form should not contain extra fields."]}'),
        (
            {"else": 1},
            '{"_form":["This form should not contain extra fields."],"title":["This value should not be blank."]}',
        ),
    ],
)
def test_a_form_is_held_to_the_targets_schema_before_the_limits(
    play_upload: Any, form: dict[str, Any], errors: str | None
) -> None:
    """§2.3."""

    async def main(upload: Any) -> None:
        answer = await upload.post_commit([NO_ID], formData=form)
        expected = "Number of files exceeded (1 > 0)" if errors is None else f"Form errors: {errors}"
        assert (answer.status_code, answer.json()["detail"]) == (400, expected)

    play_upload(main, targets=(replace(PRESS, form_schema=SCHEMA),), limits=Limits(files_max=0))


def test_an_empty_schema_refuses_every_field(play_upload: Any) -> None:
    """§2.3 (not verified): such is a deployed target without a schema."""

    async def main(upload: Any) -> None:
        assert (await upload.post_commit([], formData={"__notify": True})).status_code == 200
        assert (await upload.post_commit([], formData={"title": "x"})).status_code == 400

    play_upload(main, targets=(replace(PRESS, form_schema={}),))


def test_ids_are_not_checked_at_all(play_upload: Any) -> None:
    """H18: unknown, foreign, repeated and no ids are accepted."""

    async def main(upload: Any) -> None:
        mine = (await upload.assets(b"one"))[0]
        foreign = (await upload.post_file(b"three", who="admin")).json()["id"]
        for files in ([mine, NO_ID, foreign, mine], [NO_ID], [], ["no uuid", 7]):
            assert (await upload.post_commit(files)).status_code == 200
        await upload.settle()
        first, *others = upload.state.commits
        assert (list(first.assets), first.total_size) == ([mine, foreign], 8)
        assert [(commit.assets, commit.total_size) for commit in others] == [({}, 0)] * 3

    play_upload(main)


def test_a_second_commit_takes_the_asset_and_the_old_token_is_refused(play_upload: Any) -> None:
    """H18: the old commit shrinks, and its total size stays what it was."""

    async def main(upload: Any) -> None:
        one = await upload.committed(b"12345", b"123")
        taken, left = one.assets
        await upload.post_commit([taken], formData={"title": "second"})
        await upload.settle()
        two = upload.state.commits[-1]
        assert (list(one.assets), one.total_size) == ([left], 8)
        assert (list(two.assets), two.total_size) == ([taken], 5)
        assert one.token != two.token
        statuses = [
            (await upload.get(f"/assets/{taken}", f"AssetToken {commit.token}")).status_code for commit in (one, two)
        ]
        assert statuses == [403, 200]

    play_upload(main)


@pytest.mark.parametrize(
    ("content", "status", "text"),
    [
        (b"", 400, "Syntax error"),
        (b"{", 400, "Syntax error"),
        (b"[" * 100_000, 400, "Syntax error"),
        (b"[]", 400, "The body should be an object, array given."),
        (b"null", 400, "The body should be an object, NULL given."),
        (b'{"files": "x"}', 400, 'The type of the "files" attribute must be "array", "string" given.'),
        (b'{"files": 1.5}', 400, 'The type of the "files" attribute must be "array", "double" given.'),
        (b'{"formData": null}', 400, 'The type of the "formData" attribute must be "array", "NULL" given.'),
        (b'{"formData": ["x"]}', 400, 'The type of the "formData" attribute must be "array", "array" given.'),
        (b'{"options": 7}', 400, 'The type of the "options" attribute must be "array", "integer" given.'),
        (b'{"notify": "x"}', 400, 'The type of the "notify" attribute must be "bool", "string" given.'),
        (b'{"target": true}', 400, 'The type of the "target" attribute must be "string", "boolean" given.'),
        (b" " * (1024 * 1024 + 1), 413, "the body is longer than 1048576 bytes"),
        (b'{"targetSlug": "press", "formData": [], "options": []}', 200, None),
        (b'{"targetSlug": "press"}', 200, None),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_a_body_that_is_no_commit_is_refused(play_upload: Any, content: bytes, status: int, text: str | None) -> None:
    """§2.10: malformed JSON is 400."""

    async def main(upload: Any) -> None:
        headers = upload.as_("user") | {"content-type": "application/json", "accept": "application/json"}
        answer = await upload.client.post("/commit", headers=headers, content=content)
        assert answer.status_code == status
        assert text is None or answer.json()["detail"] == text

    play_upload(main)


def test_a_body_of_another_type_is_415(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        answer = await upload.client.post("/commit", headers=upload.as_("user"), data={"files": "x"})
        assert answer.status_code == 415

    play_upload(main)


@pytest.mark.parametrize("who", ["AssetToken x", "client"])
def test_who_has_no_user_id_fails_the_program_after_the_limits(play_upload: Any, who: str) -> None:
    """Not verified: it follows from §2.2 and the order of §2.3."""

    async def main(upload: Any) -> None:
        assert (await upload.post_commit([NO_ID], who=who)).status_code == 400
        assert (await upload.post_commit([], who=who)).status_code == 500

    play_upload(main, limits=Limits(files_max=0))
