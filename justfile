# The tasks of everyday work; `just --list` shows them. https://just.systems
# They use the environment that is active, or .venv as README.md makes it.
export PATH := justfile_directory() / ".venv/bin:" + env("PATH")

# all that .ci/run checks, in the present environment
check: lint test

# style, types and layers
lint:
    ruff check
    ruff format --check
    pyright
    lint-imports

# all tests, or those named: just test -n 0 tests/service/test_config.py
test *arguments:
    pytest {{ arguments }}

# put source code into shape
format:
    ruff check --fix
    ruff format

# the figures of benchmarks/README.md
bench:
    python -m benchmarks

# the site of the documents, in build/site
docs:
    python -m sphinx -W docs build/site

# write anew what is generated from code: schema and table of the configuration
generate:
    python -m tests.generate
