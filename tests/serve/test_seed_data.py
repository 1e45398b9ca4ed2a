"""Seed data from YAML and JSON: what is read, and what is said of seed data that is wrong, with its place."""

from pathlib import Path
from typing import Any

import pytest

from phrasim.documents import DocumentError, specification
from phrasim.serve.seed_data import SeedDataError, read_seed_data, seed_data_of
from phrasim.testbed.seed import SeedClient, SeedCommit, SeedData, SeedFile, SeedUser

FULL = """\
users:
  - email: zoe@example.org
    id: d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856
    name: Zoë
    password: secret
    token: abc-123
    roles: [ROLE_USER, ROLE_SUPER_ADMIN]
  - email: max@example.org
clients:
  - client_id: poller
    client_secret: hidden
    scopes: [commit:list]
    grants: [client_credentials, password]
  - client_id: other
commits:
  - publisher: zoe@example.org
    formData: {title: Two files}
    files:
      a.txt: {path: media/a.txt}
      b.png: {size: 12 KiB, mimeType: image/png}
  - publisher: publisher@example.org
    files:
      c: {base64: aGVsbG8=}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a seed-data file goes, with `media/a.txt` beside it."""
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.txt").write_bytes(b"seven b")
    return tmp_path / "seed.yaml"


def problems(file: Path, text: str) -> list[str]:
    """What is said of a text, without the folder of its file."""
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SeedDataError) as raised:
        read_seed_data(file)
    assert str(raised.value) == "\n".join(map(str, raised.value.problems))
    assert all(isinstance(problem, DocumentError) for problem in raised.value.problems)
    return [str(problem).removeprefix(f"{file.parent}/") for problem in raised.value.problems]


def test_every_key_is_read(file: Path) -> None:
    file.write_text(FULL, encoding="utf-8")
    assert read_seed_data(file) == SeedData(
        users=(
            SeedUser(
                email="zoe@example.org",
                id="d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
                name="Zoë",
                password="secret",
                token="abc-123",
                roles=("ROLE_USER", "ROLE_SUPER_ADMIN"),
            ),
            SeedUser("max@example.org"),
        ),
        clients=(
            SeedClient("poller", "hidden", ("commit:list",), ("client_credentials", "password")),
            SeedClient("other"),
        ),
        commits=(
            SeedCommit(
                "zoe@example.org",
                (
                    SeedFile("a.txt", file.parent / "media" / "a.txt", 7, "application/octet-stream"),
                    SeedFile("b.png", None, 12_288, "image/png"),
                ),
                {"title": "Two files"},
            ),
            SeedCommit(
                "publisher@example.org", (SeedFile("c", None, 5, "application/octet-stream", content=b"hello"),), {}
            ),
        ),
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("email: max", "emial: max", "8: users.1.emial: this field is not known here; did you mean 'email'?"),
        ("email: max", "emial: max", "8: users.1.email: this field is missing"),
        ("clients:", "client:", "9: client: this field is not known here; did you mean 'clients'?"),
        ("max@example.org", "max", "8: users.1.email: 'max' is not an e-mail address"),
        (
            "token: abc-123",
            "token: abc 123",
            "6: users.0.token: the secret value does not match '^[A-Za-z0-9._~+/-]+=*$'",
        ),
        (
            "ROLE_SUPER_ADMIN",
            "Admin",
            "capitals after ROLE_, as in ROLE_SUPER_ADMIN, or small letters, as in uploader-admin",
        ),
        ("[client_credentials, p", "[client_credential, p", "did you mean 'client_credentials'?"),
        ("size: 12 KiB", "size: 12 kB", "20: commits.0.files.b.png.size: '12 kB' does not match"),
        ("size: 12 KiB", "size: 12 kB", "; a size with its unit: 10 B, 148 KiB, 64 MiB, 1 GiB"),
        (
            "size: 12 KiB",
            "size: 65 GiB",
            "20: commits.0.files.b.png.size: a made file has at most 64 GiB; found 65 GiB",
        ),
        ("size: 12 KiB", f"size: {'9' * 5000} B", f"found {'9' * 20}…"),
        (
            "size: 12 KiB",
            "size: 0 B",
            "20: commits.0.files.b.png.size: a file has at least one byte; write 1 B or more",
        ),
        ("{path: media/a.txt}", "{}", "19: commits.0.files.a.txt: exactly one of path, size, base64 must be here"),
        (
            "{path: media/a.txt}",
            "{path: media/a.txt, size: 1 B}",
            "19: commits.0.files.a.txt: exactly one of path, size, base64 must be here",
        ),
        ("media/a.txt", "media/b.txt", "; a path starts from the folder of this seed data"),
        ("media/a.txt", "media", "media' is no file that can be copied; a path leads to a plain file"),
        ("media/a.txt", "x" * 300, "19: commits.0.files.a.txt.path: there is no file "),
        ("media/a.txt", '"\\0"', "19: commits.0.files.a.txt.path: "),
        ("media/a.txt", "empty", "empty' is empty; a file has at least one byte"),
        (
            "{path: media/a.txt}",
            "{path: media/a.txt, mimeType: image/png}",
            "files.a.txt.mimeType: only a made file is",
        ),
        ("aGVsbG8=", "aGVsbG8", "23: commits.1.files.c.base64: this is not base64: "),
        ("aGVsbG8=", "aGVs bG8=", "23: commits.1.files.c.base64: this is not base64: "),
        ("c: {base", "'': {base", "a file has a name"),
        ("email: max", "email: zoe", "8: users.1.email: 'zoe@example.org' is that of users.0 already; write another"),
        (
            "- email: max@example.org",
            "- {email: max@example.org, token: abc-123}",
            "8: users.1.token: this token is that of users.0 already; write another",
        ),
        ("client_id: other", "client_id: poller", "14: clients.1.client_id: 'poller' is that of clients.0 already"),
        ("title: Two files", "title: .nan", "17: commits.0.formData.title: nan is no number that JSON can hold"),
        ("formData: {title: Two files}", "formData: {5: five}", "17: the key 5 is no text; write it in quotes"),
        ("users:", "users: [", "this is not YAML"),
    ],
)
def test_what_is_wrong_is_told_at_its_line(file: Path, old: str, new: str, said: str) -> None:
    (file.parent / "empty").touch()
    assert old in FULL
    found = problems(file, FULL.replace(old, new, 1))
    assert any(problem.startswith("seed.yaml:") and said in problem for problem in found), found


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_lines(file: Path) -> None:
    text = FULL.replace("email: max", "email: zoe").replace("other", "poller").replace("media/a.txt", "gone")
    assert [problem.split(":")[1] for problem in problems(file, text)] == ["8", "14", "19"]


def test_an_empty_file_is_told(file: Path) -> None:
    assert problems(file, "") == ["seed.yaml:1: the seed data: null is not an object"]
    file.write_text("{}", encoding="utf-8")
    assert read_seed_data(file) == SeedData()


def test_a_file_in_another_encoding_is_told(file: Path) -> None:
    file.write_bytes(b"users: \xff")
    with pytest.raises(SeedDataError) as raised:
        read_seed_data(file)
    assert "is not UTF-8" in str(raised.value)


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_seed_data(tmp_path / "gone.yaml")


def taken(value: Any) -> Any:
    """A value that the control API's schema takes."""
    operation = specification("control.yaml").operations["addSeedData"]
    assert operation.request_violations("application/json", value) == []
    return value


def test_json_is_read_like_yaml() -> None:
    value = taken(
        {
            "users": [{"email": "zoe@example.org", "roles": ["ROLE_USER"]}],
            "commits": [
                {
                    "publisher": "zoe@example.org",
                    "files": {"a": {"base64": "AAE="}, "b": {"size": "1 KiB", "mimeType": "text/plain"}},
                }
            ],
        }
    )
    assert seed_data_of(value) == SeedData(
        users=(SeedUser("zoe@example.org", roles=("ROLE_USER",)),),
        commits=(
            SeedCommit(
                "zoe@example.org",
                (
                    SeedFile("a", None, 2, "application/octet-stream", content=b"\x00\x01"),
                    SeedFile("b", None, 1024, "text/plain"),
                ),
                {},
            ),
        ),
    )


def test_json_may_name_no_path_and_all_that_is_wrong_is_told_by_pointers() -> None:
    value = taken(
        {
            "clients": [{"client_id": "a"}, {"client_id": "a"}],
            "commits": [{"publisher": "zoe@example.org", "files": {"a/b": {"path": "/etc/hostname"}}}],
        }
    )
    with pytest.raises(SeedDataError) as raised:
        seed_data_of(value)
    repeated, path = map(str, raised.value.problems)
    assert repeated == "clients/1/client_id: 'a' is that of clients.0 already; write another"
    assert path.startswith("commits/0/files/a~1b/path: a path has a meaning in a seed-data file only; send base64")
