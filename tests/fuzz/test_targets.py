"""Every target against mutations of the corpus: thousands here, millions by hand.

Each decoder gets as many again in tests/service/protocols/test_mutations.py.
"""

from contextlib import closing

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS, mutations

COUNTS = {"Detector run": 3000, "configuration": 400, "repair": 100}
"""Of those that take longer for each input."""
DECODED = 10_000


@pytest.fixture(params=TARGETS)
def target(request):
    """Its name, and the target itself."""
    with closing(TARGETS[request.param]()) as made:
        yield request.param, made


def test_no_mutation_of_the_corpus_does_harm(target):
    name, made = target
    count = COUNTS.get(name, DECODED)
    outcomes = {made.run(t) for t in mutations(made, corpus.load(name), count, "ci")}
    assert len(outcomes) >= 2


def test_all_of_the_corpus_is_taken_or_refused(target):
    name, made = target
    assert all(made.run(text) for text in corpus.load(name).values())


def test_the_corpus_holds_what_the_tests_send(target):
    name, made = target
    kept = corpus.load(name)
    assert len(kept) >= 2
    if name != "repair":  # HDF5 writes times into its files
        seeds = dict(made.seeds())
        assert corpus.renewed(kept, seeds) == kept, "`python -m tests.fuzz --corpus`"
