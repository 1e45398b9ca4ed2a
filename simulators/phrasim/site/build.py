"""Writes the pages where MkDocs takes them, and has it build the site: whole or not at all."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from phrasim import __version__
from phrasim.site.api_pages import SWAGGER_FILES
from phrasim.site.contents import Contents

MARK = "made-by-phrasim.txt"
"""Stands in a site that this has made, by which it knows what it may replace."""

_NEEDED = ("mkdocs", "material", "mkdocs_swagger_ui_tag")
_OWN = ("phrasim.css", "iframe-worker.js", "page.js", "show-specification.js")
_NOT_OFFLINE = ("404.html", "sitemap.xml", "sitemap.xml.gz")
"""What MkDocs makes for servers alone: a page with addresses from the root, and the day of the build."""


class SiteError(Exception):
    """A site that cannot be built, with what is wrong and what to do."""


def check_installed() -> None:
    """Raise `SiteError` where what builds the site is not installed."""
    if any(find_spec(name) is None for name in _NEEDED):
        raise SiteError("docs needs MkDocs, which comes with the extra: pip install 'phrasim[docs]'")


def check_out(out: Path) -> None:
    """Raise `SiteError` where a site cannot come to be at `out`: a file, or a folder with something else in it."""
    if not out.parent.is_dir():
        raise SiteError(f"writing the site {str(out)!r}: there is no folder {str(out.parent)!r}")
    if out.is_dir():
        if any(out.iterdir()) and not (out / MARK).is_file():
            raise SiteError(
                f"writing the site {str(out)!r}: this folder holds what phrasim docs has not made; name one that is "
                "new or empty, or a site that it has made"
            )
    elif out.exists() or out.is_symlink():
        raise SiteError(f"writing the site {str(out)!r}: this is a file; name a folder")


def build(contents: Contents, out: Path) -> None:
    """Build the site in the folder `out`, in the place of the one that is there.

    Raises `SiteError` where it cannot, for one if a link or an anchor leads nowhere; then `out` is as it was.
    """
    check_installed()
    check_out(out)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=f".{out.name}-") as folder:
        work = Path(folder)
        _stage(contents, work)
        _call_mkdocs(work)
        site = work / "site"
        for name in _NOT_OFFLINE:
            (site / name).unlink(missing_ok=True)
        (site / MARK).write_text(f"Made by phrasim docs {__version__}\n", encoding="utf-8")
        if out.exists():
            out.rename(work / "before")
        site.rename(out)


def configuration(contents: Contents) -> dict[str, Any]:
    """What stands in `mkdocs.yml`."""
    nav: list[dict[str, Any]] = [{"Start": contents.start.path}]
    nav += [{heading: [{page.title: page.path} for page in pages]} for heading, pages in contents.groups.items()]
    return {
        "site_name": "phrasim",
        "site_description": "The hand-off of uploaded media to Phraseanet: protocol, contract, scenarios",
        "docs_dir": "pages",
        "site_dir": "site",
        "use_directory_urls": False,
        "nav": nav,
        "not_in_nav": "\n".join(page.path for page in contents.scenarios),
        "validation": {
            "nav": {"omitted_files": "warn", "not_found": "warn", "absolute_links": "warn"},
            "links": {
                "not_found": "warn",
                "anchors": "warn",
                "absolute_links": "warn",
                "unrecognized_links": "warn",
            },
        },
        "theme": {
            "name": "material",
            "font": False,
            "features": ["navigation.tabs", "navigation.top", "content.code.copy", "search.highlight"],
            "palette": [
                _palette("light", "default", "material/weather-night", "Dark"),
                _palette("dark", "slate", "material/weather-sunny", "Light"),
            ],
        },
        "plugins": ["search", "offline"],
        "markdown_extensions": [
            "attr_list",
            "tables",
            {"toc": {"permalink": True, "toc_depth": 3}},
            {"pymdownx.highlight": {"guess_lang": False}},
            "pymdownx.superfences",
            "sane_lists",
        ],
        "extra_javascript": ["assets/page.js"],
        "extra_css": ["assets/phrasim.css"],
        # The plugin `offline` would take it from elsewhere; one of that name it leaves as it is.
        "extra": {"polyfills": ["assets/iframe-worker.js"]},
    }


def _palette(preferred: str, scheme: str, icon: str, other: str) -> Mapping[str, Any]:
    return {
        "media": f"(prefers-color-scheme: {preferred})",
        "scheme": scheme,
        "primary": "indigo",
        "accent": "indigo",
        "toggle": {"icon": icon, "name": other},
    }


def _stage(contents: Contents, work: Path) -> None:
    """Write `mkdocs.yml` and the pages with what they load."""
    pages = work / "pages"
    (work / "mkdocs.yml").write_text(yaml.safe_dump(configuration(contents), sort_keys=False), encoding="utf-8")
    written = {page.path: page.markdown() for page in contents.pages} | contents.scripts
    for path, text in written.items():
        (pages / path).parent.mkdir(parents=True, exist_ok=True)
        (pages / path).write_text(text, encoding="utf-8")
    for name in _OWN:
        target = pages / "assets" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(files("phrasim.site").joinpath("assets", name).read_bytes())
    swagger = files("mkdocs_swagger_ui_tag").joinpath("swagger-ui")
    for path in SWAGGER_FILES:
        target = pages / path
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = "javascripts" if path.endswith(".js") else "stylesheets"
        # The line that names its source map would have the browser look for a file that is left out.
        text = swagger.joinpath(folder, target.name).read_text(encoding="utf-8")
        target.write_text(text.partition("sourceMappingURL=")[0].removesuffix("//# ").removesuffix("/*# "), "utf-8")


def _call_mkdocs(work: Path) -> None:
    done = subprocess.run(  # noqa: S603 - MkDocs of this installation, with what was written just now
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(work / "mkdocs.yml")],
        cwd=work,
        env={**os.environ, "SOURCE_DATE_EPOCH": "0", "NO_MKDOCS_2_WARNING": "true"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line and not line.startswith("INFO")]
        raise SiteError("\n".join(["building the site, MkDocs found:", *said]))
