"""Links of documents, as the site needs them."""

import pytest

from docs.extensions.checkout import PAGES, ROOT, relinked

HOW_TO = ROOT / "docs" / "how-to"
LINKS = {
    "[a page](run-the-service.md#see-what-it-does)": None,
    "[another site](https://example.org/a.md)": None,
    "[here](#below)": None,
    "[a file](../../detectors.yaml)": None,
    "![a picture](../images/page-light.png)": None,
    "[a document](../../CHANGELOG.md)": "[a document](../project/changelog.md)",
    "[a place](../../examples/README.md#x)": "[a place](../project/examples.md#x)",
    "[two\nlines](../../README.md)": "[two\nlines](../index.md)",
    "[a folder](../../examples/)": "[a folder](../project/examples.md)",
    "[decisions](../explanations/decisions/)": (
        "[decisions](../explanations/decisions/index.md)"
    ),
    "in [results](../../benchmarks/results)": "in results",
    "[`a`](../../CHANGELOG.md), [b](../glossary.md)": (
        "[`a`](../project/changelog.md), [b](../glossary.md)"
    ),
}
"""What is written in docs/how-to; what the site is given, None: the same."""


@pytest.mark.parametrize(("written", "shown"), LINKS.items())
def test_a_link_leads_to_the_page_of_what_it_names(written, shown):
    assert relinked(written, HOW_TO, HOW_TO) == (shown or written)


def test_links_of_an_included_document_are_turned_to_where_it_is_shown():
    text = "[a](docs/glossary.md), [b](srx_service/errors.py), [c](CHANGELOG.md)"
    shown = relinked(text, ROOT, ROOT / "docs" / "project")
    there = "[a](../glossary.md), [b](../../srx_service/errors.py), [c](changelog.md)"
    assert shown == there


@pytest.mark.parametrize("document", PAGES)
def test_each_document_that_has_a_page_is_there(document):
    page = ROOT / "docs" / PAGES[document]
    assert page.is_file()
    if page.parent.name == "project":
        assert f"{{include}} ../../{document}\n" in page.read_text()
    assert (ROOT / document).is_file()
