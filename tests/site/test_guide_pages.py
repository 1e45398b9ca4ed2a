"""Documents of docs/ as pages."""

import pytest

from phrasim.documents import DocumentError
from phrasim.site.guide_pages import guide_page

PAGES = frozenset(
    ["docs/a.md", "docs/b.md", "openapi/control.md"]
    + [f"scenarios/{name}.md" for name in ("index", "push", "deployed/push")]
)


@pytest.mark.parametrize(
    ("written", "led"),
    [
        ("[b](b.md#there)", "[b](b.md#there)"),
        ("[here](#here)", "[here](#here)"),
        ("[push](../scenarios/push.yaml)", "[push](../scenarios/push.md)"),
        ("[push](../scenarios/deployed/push.yaml)", "[push](../scenarios/deployed/push.md)"),
        ("[scenarios](../scenarios/)", "[scenarios](../scenarios/index.md)"),
        ("[deployed ones](../scenarios/deployed)", "[deployed ones](../scenarios/index.md)"),
        ("[API](../openapi/control.yaml)", "[API](../openapi/control.md)"),
        ("[as given](../tests/data/request_flow.md)", "as given"),
        ("[RabbitMQ](https://www.rabbitmq.com/a)", "[RabbitMQ](https://www.rabbitmq.com/a)"),
    ],
)
def test_a_link_leads_to_the_page_of_the_file_or_to_none(written: str, led: str) -> None:
    assert guide_page("docs/a.md", f"# A\n\nSee {written}.\n", PAGES).text == f"\nSee {led}.\n"


def test_what_stands_in_code_is_left_as_it_is() -> None:
    text = "```md\n[push](../scenarios/push.yaml)\n```\n"
    assert guide_page("docs/a.md", f"# A\n{text}", PAGES).text == text


def test_a_mermaid_drawing_is_drawn() -> None:
    drawing = "```mermaid\nsequenceDiagram\n    participant A\n    participant B\n    A->>B: hello\n```\n"
    page = guide_page("docs/a.md", f"# A title\n\n{drawing}After.\n", PAGES)
    assert (page.title, page.made_from) == ("A title", ("docs/a.md",))
    assert "<svg" in page.text
    assert "mermaid" not in page.text


def test_a_drawing_that_cannot_be_read_is_an_error() -> None:
    with pytest.raises(DocumentError, match=r"docs/a\.md"):
        guide_page("docs/a.md", "# A\n```mermaid\nflowchart TD\n```\n", PAGES)


def test_each_finding_has_its_name_for_an_anchor() -> None:
    page = guide_page("docs/findings.md", "# Findings\n\n#### A20: When?\n\n| H2 | lost |\n", PAGES)
    assert "#### A20: When? {: #a20 }" in page.text
    assert '| <a id="h2"></a>H2 | lost |' in page.text
