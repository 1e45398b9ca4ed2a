"""`POST /commit` on the wire (A24, A29); its rules without a wire are tested in test_state.py."""

from typing import Any

import pytest

from phrasim.service.operations import REQUEST_BYTES_MAX
from phrasim.testbed import Testbed

NO_ID = "00000000-0000-4000-8000-000000000000"


def test_a_commit_is_answered_with_true_and_nothing_else(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        ids = await act.assets(bed, bearer, b"one", b"two")
        answer = await act.post_commit(bed, bearer, ids, formData={"title": "x", "__notify_email": True}, further=1)
        assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, True, "application/json")
        (commit,) = bed.upload.commits
        assert (commit.form_data, commit.user_id) == ({"title": "x"}, bed.accounts.publisher.id)

    play(main, mode="off")


def test_form_data_may_be_left_out(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        await act.post_commit(bed, bearer, await act.assets(bed, bearer, b"one"))
        assert bed.upload.commits[0].form_data == {}

    play(main, mode="off")


def test_an_administrator_may_commit_what_a_user_uploaded(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        ids = await act.assets(bed, await act.bearer(bed), b"one")
        answer = await act.post_commit(bed, await act.bearer(bed, "administrator"), ids)
        assert answer.status_code == 200
        assert bed.upload.commits[0].user_id == bed.accounts.administrator.id

    play(main, mode="off")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "files: the list is empty"),
        ([NO_ID], f"files: unknown: {NO_ID}"),
        (["mine", "mine"], "files: repeated: {mine}"),
        (["taken", "mine"], "files: already committed: {taken}"),
        (["mine", "x"], "files/1: 'x' is not a UUID"),
        (["mine", 7], "files/1: 7 is not a string"),
        ("mine", "is not an array"),
        (None, "files: null is not an array"),
    ],
)
def test_ids_that_cannot_be_committed_are_named_and_nothing_is_committed(
    play: Any, act: Any, files: Any, said: str
) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        mine, taken = await act.assets(bed, bearer, b"one", b"two")
        await act.post_commit(bed, bearer, [taken])
        known = {"mine": mine, "taken": taken}
        asked = [known.get(one, one) for one in files] if isinstance(files, list) else files
        answer = await act.post_commit(bed, bearer, asked)
        assert (answer.status_code, said.format(**known) in answer.json()["detail"]) == (400, True), answer.text
        assert len(bed.upload.commits) == 1
        assert (await act.post_commit(bed, bearer, [mine])).status_code == 200

    play(main, mode="off")


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "said"),
    [
        (b"", JSON, 400, "not JSON"),
        (b"{", JSON, 400, "not JSON"),
        (b'{"files": ["\xff"]}', JSON, 400, "not JSON"),
        (b"[" * 100_000, JSON, 400, "not JSON"),
        (b"null", JSON, 400, "null is not an object"),
        (b"[]", JSON, 400, "an array is not an object"),
        (b"{}", JSON, 400, "files: this field is missing"),
        (b'{"files": ["%s"], "formData": []}' % NO_ID.encode(), JSON, 400, "formData: an array is not an object"),
        (b'{"files": ["%s"], "formData": null}' % NO_ID.encode(), JSON, 400, "formData: null is not an object"),
        (b"{}", {}, 415, "has no Content-Type; commitAssets takes application/json"),
        (b"files=1", {"content-type": "application/x-www-form-urlencoded"}, 415, "takes application/json"),
        (b" " * (REQUEST_BYTES_MAX + 1), JSON, 413, f"longer than {REQUEST_BYTES_MAX} bytes"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_body_that_is_no_commit_is_refused_with_the_reason(
    play: Any, act: Any, content: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        answer = await bed.client("user", "upload").post("/commit", headers=bearer | headers, content=content)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
        assert bed.upload.commits == ()

    play(main)


def test_a_body_of_just_the_limit_is_read(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        (asset,) = await act.assets(bed, bearer, b"one")
        content = b'{"files": ["%s"]}' % asset.encode()
        content += b" " * (REQUEST_BYTES_MAX - len(content))
        answer = await bed.client("user", "upload").post("/commit", headers=bearer | JSON, content=content)
        assert answer.status_code == 200

    play(main, mode="off")


def test_parameters_and_case_of_the_media_type_do_not_matter(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        (asset,) = await act.assets(bed, bearer, b"one")
        headers = bearer | {"content-type": "Application/JSON; charset=utf-8"}
        content = b'{"files": ["%s"]}' % asset.encode()
        answer = await bed.client("user", "upload").post("/commit", headers=headers, content=content)
        assert answer.status_code == 200

    play(main, mode="off")


def test_form_data_of_large_numbers_and_deep_nesting_comes_back_as_it_was(play: Any, act: Any) -> None:
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    form = {"large": 123456789012345678901234567890, "deep": deep, "text": "é\u2028\0"}

    async def main(bed: Testbed) -> Any:
        bearer = await act.bearer(bed)
        (asset,) = await act.assets(bed, bearer, b"one")
        await act.post_commit(bed, bearer, [asset], formData=form)
        headers = {"authorization": f"AssetToken {bed.upload.commits[0].token}"}
        return (await bed.client("user", "upload").get(f"/assets/{asset}", headers=headers)).json()["formData"]

    assert play(main) == form
