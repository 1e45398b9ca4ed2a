"""The reference of the command line, made of the commands themselves."""

import re
from collections.abc import Iterator

import typer
from typer.core import TyperCommand, TyperGroup

from phrasim.site.page import Page, fence, table

PATH = "commands.md"
_EXAMPLES = re.compile(r"\n*\x08\nExamples:\n(?P<lines>(?:  .*\n?)+)")


def command_page(root: TyperGroup) -> Page:
    """The page of the command `root` and its verbs."""
    above = typer.Context(root, info_name="phrasim")
    verbs = {name: verb for name, verb in root.commands.items() if isinstance(verb, TyperCommand)}
    parts = [
        root.help or "",
        table(("Verb", "What it does"), [(f"[{name}](#{name})", _first_line(verb)) for name, verb in verbs.items()]),
    ]
    for name, verb in verbs.items():
        parts += _verb(name, verb, above)
    made_from = tuple(f"simulators/phrasim/cli/{name}.py" for name in verbs)
    return Page(PATH, "The command phrasim", "\n\n".join(part for part in parts if part), made_from)


def _first_line(verb: TyperCommand) -> str:
    return (verb.help or "").partition("\n")[0]


def _verb(name: str, verb: TyperCommand, above: typer.Context) -> Iterator[str]:
    context = typer.Context(verb, info_name=name, parent=above)
    yield f"## phrasim {name} {{: #{name} }}"
    usage = " ".join(verb.collect_usage_pieces(context))
    yield fence("text", f"phrasim {name} {usage}")
    place, text = 0, verb.help or ""
    for found in _EXAMPLES.finditer(text):
        yield text[place : found.start()].strip()
        yield fence("sh", "\n".join(line.strip() for line in found["lines"].strip().splitlines()))
        place = found.end()
    yield text[place:].strip()
    rows = []
    for parameter in verb.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            names, words = record
            rows.append((f"`{names}`", words))
    yield table(("Option", "What it says"), rows)
