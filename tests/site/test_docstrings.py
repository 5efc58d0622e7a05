"""Docstrings, as autodoc gets them."""

from docs.extensions import docstrings


class App:
    """What an extension asks of Sphinx."""

    def __init__(self):
        self.handlers = {}

    def setup_extension(self, name):
        assert name == "sphinx.ext.autodoc"

    def connect(self, event, handler):
        self.handlers[event] = handler


def read(what, text):
    app = App()
    docstrings.setup(app)
    lines = text.splitlines()
    handler = app.handlers["autodoc-process-docstring"]
    handler(app, what, "name", None, None, lines)
    return "\n".join(lines)


def test_sections_of_a_functions_docstring_become_fields():
    told = read(
        "function", "Do it.\n\nArgs:\n    a: What.\n\nRaises:\n    ValueError: No."
    )
    assert ":param a: What." in told
    assert ":raises ValueError: No." in told


def test_a_colon_in_a_fields_docstring_makes_no_type_of_it():
    text = 'In pixels, slowest axis first: (2162, 2068) for "Eiger2".'
    assert read("attribute", text) == text
