"""Sources of rows for tests."""

import itertools


class Pieces:
    """A source of the pieces given."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)

    @property
    def n_chunks(self):
        return len(self.pieces)

    def chunk(self, k):
        return self.pieces[k]


def cut_at(X, y, w, *places):
    edges = [0, *places, len(X)]
    return Pieces(*((X[a:b], y[a:b], None if w is None else w[a:b]) for a, b in itertools.pairwise(edges)))
