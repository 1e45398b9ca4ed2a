import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.serve.credentials import (
    NAMES,
    Credentials,
    CredentialsError,
    credentials_file,
    environment_name,
    missing,
    read_credentials,
)

WriteToml = Callable[[str], Path]


@pytest.fixture
def write_toml(tmp_path: Path) -> WriteToml:
    def write(text: str) -> Path:
        file = tmp_path / "phrasim.toml"
        file.write_bytes(text.encode())
        return file

    return write


def refusal(*options: str, environ: dict[str, str] | None = None, file: Path | None = None) -> str:
    with pytest.raises(CredentialsError) as exc_info:
        read_credentials(options, environ or {}, file)
    return str(exc_info.value)


class TestAName:
    def test_is_dotted(self) -> None:
        assert NAMES == (
            "publisher.email",
            "publisher.password",
            "administrator.email",
            "administrator.password",
            "client.id",
            "client.secret",
            "frontEnd.id",
            "frontEnd.secret",
            "phraseanet.token",
            "target.id",
            "target.slug",
        )

    @pytest.mark.parametrize(
        ("name", "variable"),
        [
            ("publisher.email", "PHRASIM_PUBLISHER_EMAIL"),
            ("frontEnd.id", "PHRASIM_FRONT_END_ID"),
            ("phraseanet.token", "PHRASIM_PHRASEANET_TOKEN"),
        ],
    )
    def test_has_an_environment_variable(self, name: str, variable: str) -> None:
        assert environment_name(name) == variable


class TestCredentials:
    @pytest.mark.parametrize("name", NAMES)
    def test_are_read_from_an_option(self, name: str) -> None:
        assert read_credentials([f"{name}=4711"], {}, None).value(name) == "4711"

    @pytest.mark.parametrize("name", NAMES)
    def test_are_read_from_the_environment(self, name: str) -> None:
        assert read_credentials([], {environment_name(name): "4711"}, None).value(name) == "4711"

    @pytest.mark.parametrize("name", NAMES)
    def test_are_read_from_the_file(self, name: str, write_toml: WriteToml) -> None:
        section, _, key = name.partition(".")
        file = write_toml(f'[credentials.{section}]\n{key} = "4711"\n')
        assert read_credentials([], {}, file).value(name) == "4711"

    def test_of_all_places_are_joined_the_option_before_the_environment_before_the_file(
        self, write_toml: WriteToml
    ) -> None:
        file = write_toml('[credentials.client]\nid = "file"\nsecret = "file"\n[credentials.frontEnd]\nid = "file"')
        environ = {"PHRASIM_CLIENT_ID": "environment", "PHRASIM_CLIENT_SECRET": "environment"}
        assert read_credentials(["client.id=option"], environ, file) == Credentials(
            client_id="option", client_secret="environment", front_end_id="file"
        )

    def test_that_nobody_gave_are_none(self) -> None:
        assert read_credentials([], {}, None) == Credentials()

    def test_that_two_options_give_are_those_of_the_last(self) -> None:
        assert read_credentials(["client.id=a", "client.id=b"], {}, None).client_id == "b"

    def test_may_hold_an_equals_sign(self) -> None:
        assert read_credentials(["client.secret=a=b=="], {}, None).client_secret == "a=b=="

    def test_of_an_empty_environment_variable_are_absent(self, write_toml: WriteToml) -> None:
        file = write_toml('[credentials.client]\nid = "file"')
        assert read_credentials([], {"PHRASIM_CLIENT_ID": ""}, file).client_id == "file"

    def test_ignore_other_environment_variables(self) -> None:
        assert read_credentials([], {"PHRASIM_COLOUR": "blue", "CLIENT_ID": "x"}, None) == Credentials()

    def test_tell_which_they_are_and_not_their_values(self) -> None:
        given_two = Credentials(client_id="4711", front_end_secret="4712")
        assert repr(given_two) == "Credentials(given: client.id, frontEnd.secret)"
        assert repr(Credentials()) == "Credentials(given: none)"

    def test_in_a_file_may_be_written_as_dotted_keys(self, write_toml: WriteToml) -> None:
        file = write_toml('[credentials]\nclient.id = "a"\nfrontEnd = {id = "b"}')
        assert read_credentials([], {}, file) == Credentials(client_id="a", front_end_id="b")

    def test_of_an_empty_file_are_none(self, write_toml: WriteToml) -> None:
        assert read_credentials([], {}, write_toml("")) == Credentials()


class TestTheFile:
    def test_of_a_folder_is_there_or_none(self, write_toml: WriteToml, tmp_path: Path) -> None:
        assert credentials_file(tmp_path) is None
        assert write_toml("") == credentials_file(tmp_path)

    def test_that_was_named_must_be_there(self, tmp_path: Path) -> None:
        file = tmp_path / "absent.toml"
        assert refusal(file=file) == f"{file}: the credentials cannot be read: No such file or directory"

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("[credentials.client]\nsecret = hunter2\n", 2),
            ('[credentials.client]\n\nsecret = "hunter2\n', 3),
            ('[credentials.client]\nsecret = """hunter2\n', 3),
            ('[credentials.client]\nsecret = "a"\nsecret = "hunter2"\n', 3),
        ],
    )
    def test_that_is_no_toml_is_named_with_the_line_and_not_quoted(
        self, write_toml: WriteToml, text: str, line: int
    ) -> None:
        file = write_toml(text)
        assert refusal(file=file) == (
            f'{file}:{line}: this is no TOML of credentials; write KEY = "VALUE" in a section, in UTF-8'
        )

    def test_that_is_not_utf_8_is_named_with_the_line(self, tmp_path: Path) -> None:
        file = tmp_path / "phrasim.toml"
        file.write_bytes(b'[credentials.client]\nsecret = "h\xfcnter2"\n')
        assert refusal(file=file).startswith(f"{file}:2: this is no TOML of credentials; ")

    @pytest.mark.parametrize("value", [5_000 * "1", 5_000 * "["])
    def test_that_the_parser_cannot_hold_is_refused(self, write_toml: WriteToml, value: str) -> None:
        file = write_toml(f"[credentials.client]\nsecret = {value}\n")
        assert "this is no TOML of credentials" in refusal(file=file)

    def test_that_is_too_long_is_refused(self, write_toml: WriteToml) -> None:
        file = write_toml(65_537 * "#")
        assert refusal(file=file) == f"{file}: the file is longer than 65536 bytes, too long for credentials"

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("[credential.client]", "'credential' is not known at the top; write [credentials.…] sections"),
            ("[credentials.clients]", "'clients' is no section of [credentials]; did you mean 'client'?"),
            (
                "[credentials.x]",
                (
                    "'x' is no section of [credentials]; "
                    "known are publisher, administrator, client, frontEnd, phraseanet, target"
                ),
            ),
            (
                '[credentials.publisher]\nmail = "4711"',
                "'mail' in [credentials.publisher] is not known; did you mean 'email'?",
            ),
            (
                "credentials = 4711",
                "'credentials' is a number; write a section, such as [credentials.publisher]",
            ),
            (
                'credentials.client = "4711"',
                "'credentials.client' is a string; write a section, such as [credentials.publisher]",
            ),
            ('[credentials.client]\nid = ""', "'id' in [credentials.client]: the value is empty"),
        ],
    )
    def test_with_what_is_not_known_is_refused(self, write_toml: WriteToml, text: str, problem: str) -> None:
        file = write_toml(text)
        assert refusal(file=file) == f"{file}: {problem}"

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ("4711", "a number"),
            ("47.11", "a number"),
            ("true", "a boolean"),
            ('["4711"]', "an array"),
            ('{a = "4711"}', "a table"),
            ("2019-05-15", "a date or time"),
        ],
    )
    def test_with_a_value_that_is_no_string_is_refused(self, write_toml: WriteToml, value: str, kind: str) -> None:
        file = write_toml(f"[credentials.client]\nid = {value}")
        assert refusal(file=file) == f"{file}: 'id' in [credentials.client] is {kind}; write a string, in quotes"


class TestARefusal:
    def test_of_an_option_without_equals_sign_shows_how_one_is_written(self) -> None:
        assert refusal("4711") == (
            "--credential has no '='; write NAME=VALUE, such as publisher.email=somebody@example.org"
        )

    def test_of_an_unknown_name_gives_the_nearest(self) -> None:
        assert refusal("frontend.Secret=4711") == (
            "--credential: what stands before '=' is no known name; did you mean 'frontEnd.secret'?"
        )

    def test_of_one_option_of_several_tells_which(self) -> None:
        assert refusal("client.id=1", "4711").startswith("--credential number 2 has no '='")

    def test_names_an_option_without_a_value(self) -> None:
        assert refusal("client.secret=") == "--credential (client.secret): the value is empty"

    def test_names_a_variable_whose_value_ends_a_line(self) -> None:
        assert refusal(environ={"PHRASIM_CLIENT_SECRET": "4711\n"}) == (
            "PHRASIM_CLIENT_SECRET: the value holds a character that cannot be printed, such as a line end"
        )

    @pytest.mark.parametrize("token", ["47 11", "hünter2"])
    def test_names_a_token_that_no_header_can_hold(self, token: str) -> None:
        assert refusal(f"phraseanet.token={token}") == (
            "--credential (phraseanet.token): a token is printable ASCII without spaces (RFC 6750, §2.1), "
            "and this is not"
        )

    @given(
        secret=st.lists(st.characters(exclude_categories=["Cs"]), max_size=5).map(
            lambda letters: f"Ж{'Ж'.join(letters)}Ж"
        ),
        place=st.sampled_from(
            [
                "{secret}",
                "{secret}=",
                "{secret}={secret}",
                "{name}{secret}=",
                "{name}={secret}\n",
                "environment {name}",
                "file [credentials.{section}]\n{key} = {secret}",
                'file [credentials.{section}]\n{key} = "{secret}',
                'file [credentials.{section}]\n{key} = "\\{secret}"',
                "file [credentials.{section}]\n{key} = [{quoted}]",
                "file [credentials.{section}]\n{key}x = {quoted}",
                "file [credentials.{section}x]\n{key} = {quoted}",
                "file credentials.{section} = {quoted}",
                "file credentials = {quoted}",
                "file {key} = {quoted}",
                "file {secret}",
            ]
        ),
        name=st.sampled_from(NAMES),
    )
    def test_never_shows_a_value(self, secret: str, place: str, name: str) -> None:
        """Every second letter of a secret is one that no message bears: who quotes two in a row is found out."""
        section, _, key = name.partition(".")
        filled = place.format(secret=secret, quoted=json.dumps(secret), name=name, section=section, key=key)
        with tempfile.TemporaryDirectory() as folder:
            file, options, environ = None, [], {}
            if place.startswith("file "):
                file = Path(folder) / "phrasim.toml"
                file.write_bytes(filled.removeprefix("file ").encode())
            elif place.startswith("environment "):
                environ = {environment_name(name): f"{secret}\n"}
            else:
                options = [filled]
            with pytest.raises(CredentialsError) as exc_info:
                read_credentials(options, environ, file)
        error: BaseException | None = exc_info.value
        while error is not None:
            assert "Ж" not in f"{error}{error!r}"
            assert not re.search(r"\\u0416|\\xd0", f"{error}{error!r}", re.IGNORECASE)
            error = error.__cause__ or error.__context__


NEEDED = {"client.id": "to ask auth for a token", "frontEnd.secret": "to log the publisher in"}


class TestWhatIsMissing:
    def test_is_told_with_its_purpose_and_the_three_ways_to_give_it(self) -> None:
        assert missing(Credentials(client_id="4711"), NEEDED) == (
            "credentials are missing:\n"
            "  frontEnd.secret to log the publisher in: --credential frontEnd.secret=VALUE, or "
            "PHRASIM_FRONT_END_SECRET in the environment, or [credentials.frontEnd] secret in phrasim.toml"
        )

    def test_is_nothing_when_all_are_there(self) -> None:
        assert missing(Credentials(client_id="4711", front_end_secret="4712"), NEEDED) is None
