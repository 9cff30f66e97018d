"""The cheapest row of words for a row of misheard letters: token passing over a tree of letters.

As in a recogniser with a lexicon and a unigram language model (Young, Russell and Thornton 1989,
"Token Passing"), but over letters instead of sounds.

T letters heard, K nodes of the tree, N words, A letters of the recogniser.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

_SPACE = 1  # the recogniser's unit that parts words
# Between two words it hears a space two times in five; inside a word, it costs what any letter does.
_UNPARTED, _PARTED = 0.6, 0.9
# What costs more than the best so far by this is given up; 39 of 40 noisy sentences are as with 14.
_BEAM = 10.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Costs:
    """Negative natural logarithms.

    Attributes:
        given: float64 [A, A]: of hearing the column where the row was said; column 0: of hearing
            nothing.
        added: float64 [A]: of hearing each where nothing was said.
    """

    given: NDArray[np.float64]
    added: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trie:
    """Words as a tree of letters, level by level: the children of a node stand side by side.

    Attributes:
        words: N.
        letter: int16 [K], the unit that leads to a node; the root is the first.
        depth: int32 [K], how many units lead to it.
        below: int32 [K + 1]: the children of node k are ``below[k]`` ... ``below[k + 1]`` - 1.
        word: int32 [K], the likeliest word that ends there; -1: none.
        entry: float64 [K], what is paid for a word's probability on the way in: by how much the
            likeliest word below costs more than the likeliest below the parent. Paid early, it shows
            early which beginnings are not worth following.
        rest: float64 [K], what is left to pay where the word ends; 0 where none ends.
    """

    words: tuple[str, ...]
    letter: NDArray[np.int16]
    depth: NDArray[np.int32]
    below: NDArray[np.int32]
    word: NDArray[np.int32]
    entry: NDArray[np.float64]
    rest: NDArray[np.float64]

    @classmethod
    def of(
        cls, words: Sequence[str], spelled: Sequence[Sequence[int]], logprob: NDArray[np.float64]
    ) -> Trie:
        """A tree of words.

        Args:
            words: N.
            spelled: units of each, none of them empty.
            logprob: float64 [N], natural logarithm of their probabilities.
        """
        best: dict[tuple[int, ...], int] = {}
        for number, units in enumerate(spelled):
            key = tuple(units)
            if key not in best or logprob[best[key]] < logprob[number]:
                best[key] = number
        beginnings = {key[:size] for key in best for size in range(len(key) + 1)} | {()}
        nodes = sorted(beginnings, key=lambda units: (len(units), units))
        children = Counter(units[:-1] for units in nodes[1:])
        counts = [children[units] for units in nodes]
        likeliest = dict.fromkeys(nodes, np.inf)  # cost of the likeliest word below each
        for units in reversed(nodes):
            own = -logprob[best[units]] if units in best else np.inf
            likeliest[units] = min(likeliest[units], own)
            if units:
                likeliest[units[:-1]] = min(likeliest[units[:-1]], likeliest[units])
        return cls(
            words=tuple(words),
            letter=np.array([units[-1] if units else 0 for units in nodes], dtype=np.int16),
            depth=np.array([len(units) for units in nodes], dtype=np.int32),
            below=(1 + np.concatenate([[0], np.cumsum(counts)])).astype(np.int32),
            word=np.array([best.get(units, -1) for units in nodes], dtype=np.int32),
            entry=np.array(
                [likeliest[u] - (likeliest[u[:-1]] if len(u) > 1 else 0) for u in nodes]
            ),
            rest=np.array([-logprob[best[u]] - likeliest[u] if u in best else 0.0 for u in nodes]),
        )


def search(heard: NDArray[np.int16], trie: Trie, costs: Costs, prior: float) -> list[int]:
    """Numbers of the words of the cheapest row.

    Args:
        heard: units, int16 [T].
        trie: of the language.
        costs: of mishearing.
        prior: weight of the words' own costs.
    """
    found = _search(
        heard,
        (trie.letter, trie.depth, trie.below, trie.word),
        (prior * trie.entry, prior * trie.rest),
        costs.given,
        costs.added,
    )
    numbers: list[int] = found.tolist()
    return numbers


@numba.njit(cache=True)
def _relax(cost, begin, begins, node, depth, rows, counts, costs):  # type: ignore[no-untyped-def]
    """Reach a node, and note it by its depth when it is reached first."""
    if cost < costs[node]:
        if costs[node] == np.inf:
            rows[depth[node], counts[depth[node]]] = node
            counts[depth[node]] += 1
        costs[node] = cost
        begins[node] = begin


@numba.njit(cache=True)
def _skip(limit, place, tree, entry, given, begins, rows, counts, costs):  # type: ignore[no-untyped-def]
    """Letters that were said and not heard: from each node that is cheap enough to its children."""
    letter, depth, below, _ = tree
    for level in range(rows.shape[0]):
        at = 0
        while at < counts[level]:
            node = rows[level, at]
            at += 1
            if costs[node] < limit:
                begin = place if node == 0 else begins[node]
                for child in range(below[node], below[node + 1]):
                    cost = costs[node] + given[letter[child], 0] + entry[child]
                    _relax(cost, begin, begins, child, depth, rows, counts, costs)


@numba.njit(cache=True)
def _search(heard, tree, priors, given, added):  # type: ignore[no-untyped-def]
    """Words in order, int32. Ties go to what comes first."""
    letter, depth, below, word = tree
    entry, rest = priors
    nodes, total, levels = len(letter), len(heard), depth.max() + 1
    before, after = np.full(nodes, np.inf), np.full(nodes, np.inf)
    began, begins = np.zeros(nodes, np.int32), np.zeros(nodes, np.int32)
    # nodes that are reached, by depth
    old, new = np.empty((levels, nodes), np.int32), np.empty((levels, nodes), np.int32)
    olds, news = np.zeros(levels, np.int64), np.zeros(levels, np.int64)
    # where the last word before each place began, and which it was; -1: a letter between words
    back, back_word = np.full(total + 1, -1, np.int32), np.full(total + 1, -1, np.int32)
    _relax(0.0, 0, began, 0, depth, old, olds, before)
    _skip(_BEAM, 0, tree, entry, given, began, old, olds, before)
    for place in range(total):
        unit = heard[place]
        cheapest = np.inf
        for level in range(levels):
            for at in range(olds[level]):
                cheapest = min(cheapest, before[old[level, at]])
        limit = cheapest + _BEAM
        for level in range(levels):
            for at in range(olds[level]):
                node = old[level, at]
                cost = before[node]
                if cost < limit:
                    if node != 0:
                        _relax(
                            cost + added[unit], began[node], begins, node, depth, new, news, after
                        )
                    begin = place if node == 0 else began[node]
                    for child in range(below[node], below[node + 1]):
                        found = cost + given[letter[child], unit] + entry[child]
                        _relax(found, begin, begins, child, depth, new, news, after)
        between = before[0] + (_PARTED - _UNPARTED if unit == _SPACE else added[unit])
        _skip(limit, 0, tree, entry, given, begins, new, news, after)
        ended, ending = np.inf, 0
        for level in range(1, levels):
            for at in range(news[level]):
                node = new[level, at]
                if word[node] >= 0:
                    cost = after[node] + rest[node] + _UNPARTED
                    if cost < ended:
                        ended, ending = cost, node
        back[place + 1] = place
        if ended < between:
            back[place + 1], back_word[place + 1] = begins[ending], word[ending]
        _relax(min(ended, between), place + 1, begins, 0, depth, new, news, after)
        # a word begins with letters that were not heard
        _skip(limit, place + 1, tree, entry, given, begins, new, news, after)
        for level in range(levels):
            for at in range(olds[level]):
                before[old[level, at]] = np.inf
            olds[level] = 0
        before, after = after, before
        began, begins = begins, began
        old, new = new, old
        olds, news = news, olds
    found = np.empty(total, np.int32)
    count, place = 0, total
    while place > 0:
        if back_word[place] >= 0:
            found[count] = back_word[place]
            count += 1
        place = back[place]
    return found[:count][::-1].copy()
