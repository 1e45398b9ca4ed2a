"""The command as a process: its help, its exit codes, pipes, signals, encodings and terminals."""

import fcntl
import io
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result

from phrasim import __version__, cli
from phrasim.cli import output

Call = Callable[..., Result]
COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()"]


def process(*words: str, **options: object) -> subprocess.Popen[bytes]:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([*COMMAND, *words], **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("verb", ["run", "replay", "diagram", "conform", "diff", "docs"])
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_of_every_verb_shows_an_example_and_the_exit_codes(verb: str, option: str, phrasim: Call) -> None:
    result = phrasim(verb, option)
    assert result.exit_code == 0
    assert re.search(rf"Examples:\n +phrasim (run push --trace push.jsonl && phrasim )?{verb}\b", result.stdout)
    assert "Exit code: 0" in result.stdout


def test_the_help_names_every_verb(phrasim: Call) -> None:
    for words in (["--help"], []):
        said = phrasim(*words).output
        assert [verb for verb in ("run", "replay", "diagram", "conform", "diff") if f"\n  {verb} " not in said] == []


def test_the_version_is_told(phrasim: Call) -> None:
    assert phrasim("--version").stdout == f"phrasim {__version__}\n"


def test_an_unknown_verb_is_told(phrasim: Call) -> None:
    result = phrasim("dance")
    assert result.exit_code == 2
    assert "No such command 'dance'" in result.stderr


def main(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    monkeypatch.setattr(sys, "argv", ["phrasim", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_console_script_ends_with_the_code_of_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(monkeypatch, "run", "unknown-commit") == 0
    assert main(monkeypatch, "run", "nothing") == 2


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "writing to standard output: No space left on device"),
        (OSError(13, "Permission denied", "a.yaml"), "a.yaml: Permission denied"),
        (OSError("something else"), "writing to standard output: something else"),
    ],
)
def test_what_the_system_refuses_is_a_sentence(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise error

    monkeypatch.setattr(cli, "app", refuse)
    assert main(monkeypatch) == 2
    assert capsys.readouterr().err == f"phrasim: {said}\n"


def test_a_reader_who_leaves_does_not_end_the_run(folder: Path) -> None:
    """As `phrasim run … | head -1`: the trace is still written, and the exit code still tells the verdict."""
    running = process("run", "push", "--trace", "trace.jsonl")
    assert running.stdout
    assert running.stdout.readline().startswith(b"push: ")
    running.stdout.close()
    assert running.stderr
    assert running.stderr.read() == b""
    assert running.wait() == 0
    running.stderr.close()
    assert Path("trace.jsonl").is_file()


@contextmanager
def blocked(folder: Path, *words: str, **options: object) -> Iterator[tuple[subprocess.Popen[bytes], io.FileIO]]:
    """A run of `push` that prints more than the pipe to its reader holds, so that it cannot end before it is read."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    files: list[str] = []
    for number in range(40):
        (folder / f"{number}.txt").write_text("some text")
        files += ["--asset", f"{number}.txt"]
    running = process("run", "push", *files, *words, stdout=writing, **options)
    os.close(writing)
    with running, io.FileIO(reading) as output:
        try:
            yield running, output
        finally:
            running.kill()  # where the test has failed; one that has ended is past that


needs_narrow_pipe = pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="a pipe's size cannot be set here")


@needs_narrow_pipe
def test_an_arrow_is_read_by_another_process_before_the_run_has_ended(folder: Path) -> None:
    with blocked(folder, "--trace", "trace.jsonl") as (running, output):
        assert output.readline().startswith(b"push: ")
        while b"Upload asset" not in output.readline():
            assert running.poll() is None
        assert running.poll() is None
        assert not Path("trace.jsonl").exists()
        output.readall()
        assert running.wait() == 0
    assert Path("trace.jsonl").exists()


@needs_narrow_pipe
@pytest.mark.unmeasured  # the signal may strike while the measuring holds a lock, which it then waits for itself
@pytest.mark.parametrize(
    ("number", "code", "background"),
    [
        (signal.SIGINT, 130, False),
        (signal.SIGTERM, 143, False),
        (signal.SIGHUP, 129, False),
        (signal.SIGTERM, 143, True),
    ],
)
def test_an_interrupted_run_leaves_no_file(number: signal.Signals, code: int, background: bool, folder: Path) -> None:
    """Also in the background of a script, where a shell lets Ctrl-C be ignored."""
    place = folder / "temporary"
    place.mkdir()
    options = {
        "env": {**os.environ, "TMPDIR": str(place)},
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if background else signal.SIG_DFL),
    }
    with blocked(folder, "--trace", "trace.jsonl", **options) as (running, output):
        while b"Upload asset" not in output.readline():
            assert running.poll() is None
        assert list(place.iterdir()) != []
        running.send_signal(number)
        output.readall()
        _, error = running.communicate()
    assert running.returncode == code
    assert b"Traceback" not in error
    assert [path.name for path in folder.iterdir() if path.suffix != ".txt"] == ["temporary"]
    assert list(place.iterdir()) == []


def test_a_signal_that_the_caller_ignores_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under `nohup`; and where the command was called in a process that goes on, the signals are as they were."""
    both = (signal.SIGHUP, signal.SIGTERM)
    seen: list[object] = []
    monkeypatch.setattr(cli, "app", lambda: seen.extend(map(signal.getsignal, both)))
    before = [signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, signal.SIG_DFL)]
    try:
        cli.main()
        assert [signal.getsignal(one) for one in both] == [signal.SIG_IGN, signal.SIG_DFL]
    finally:
        for one, handler in zip(both, before, strict=True):
            signal.signal(one, handler)
    hangup, termination = seen
    assert hangup == signal.SIG_IGN
    assert callable(termination)


@pytest.mark.parametrize("words", ["run push", "replay a", "diagram a", "conform a b", "--help", "run --help"])
def test_a_closed_standard_output_is_told(words: str, folder: Path) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *words.split()]
    ended = subprocess.run(closed, stderr=subprocess.PIPE, check=False)
    assert ended.returncode == 2
    assert ended.stderr == (b"phrasim: standard output is closed; send it to /dev/null where nobody is to read it\n")


def test_a_narrow_encoding_escapes_what_it_cannot_show(folder: Path) -> None:
    Path("naïve ☃.txt").write_text("some text")
    running = process(
        "run", "push", "--asset", "naïve ☃.txt", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    stdout, stderr = running.communicate()
    assert (running.returncode, stderr) == (0, b"")
    assert rb"na\xefve \u2603.txt (9 bytes)" in stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_under_the_output_is_told(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        running = process("run", "push", stdout=full)
        _, error = running.communicate()
    assert running.returncode == 2
    assert error.decode().splitlines()[0] == "phrasim: writing to standard output: No space left on device"
    assert b"Traceback" not in error


def on_terminal(*words: str, **environment: str) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    running = process(
        *words, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "200", **environment}
    )
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            part = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert running.wait() == 0
    return shown.decode()


def test_a_terminal_shows_colour_and_progress(folder: Path) -> None:
    environment = {name: "" for name in ("NO_COLOR",) if name in os.environ}
    shown = on_terminal("run", "push", "pull", "unknown-commit", **environment)
    assert "\x1b[32mpush: held" in shown
    assert "/3" in shown
    assert shown.rstrip().splitlines()[-1].endswith("3 of 3 scenarios held\x1b[0m") or "3 of 3 scenarios held" in shown


def test_a_terminal_without_colour_shows_none(folder: Path) -> None:
    assert "\x1b[3" not in on_terminal("run", "push", NO_COLOR="1")


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    output._console.cache_clear()
    with output.progress(3) as bar:
        bar.at(1, "one")
    assert capsys.readouterr().out == ""
