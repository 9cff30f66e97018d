"""The cheapest row of words for a row of misheard letters: token passing over a tree of letters.

As in a recogniser with a lexicon and a unigram language model (Young, Russell and Thornton 1989,
"Token Passing"), but over letters instead of sounds.

T letters heard, K nodes of the tree, N words, A letters of the recogniser.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

_SPACE = 1  # the recogniser's unit that parts words
# Between two words it hears a space two times in five; inside a word, it costs what any letter does.
_UNPARTED, _PARTED = 0.6, 0.9
_BEAM = 12.0  # what costs more than the best so far by this is given up


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
    """Words as a tree of letters; a node comes after its parent, the root is the first.

    Attributes:
        words: N.
        parent: int32 [K].
        letter: int16 [K], the unit that leads to a node.
        word: int32 [K], the likeliest word that ends there; -1: none.
        cost: float64 [N], negative natural logarithm of each word's probability.
    """

    words: tuple[str, ...]
    parent: NDArray[np.int32]
    letter: NDArray[np.int16]
    word: NDArray[np.int32]
    cost: NDArray[np.float64]

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
        children: dict[tuple[int, int], int] = {}
        parent, letter, word = [0], [0], [-1]
        for number, units in enumerate(spelled):
            node = 0
            for unit in units:
                below = children.get((node, unit))
                if below is None:
                    below = children[node, unit] = len(parent)
                    parent.append(node)
                    letter.append(unit)
                    word.append(-1)
                node = below
            if word[node] < 0 or logprob[word[node]] < logprob[number]:
                word[node] = number
        return cls(
            words=tuple(words),
            parent=np.array(parent, dtype=np.int32),
            letter=np.array(letter, dtype=np.int16),
            word=np.array(word, dtype=np.int32),
            cost=-logprob,
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
        heard, trie.parent, trie.letter, trie.word, prior * trie.cost, costs.given, costs.added
    )
    numbers: list[int] = found.tolist()
    return numbers


@numba.njit(cache=True)
def _search(  # type: ignore[no-untyped-def]
    heard, parent, letter, word, word_cost, given, added
):
    """Words in order, int32. Costs of the nodes after each letter heard; ties go to the first."""
    nodes, total = len(parent), len(heard)
    before, after = np.full(nodes, np.inf), np.full(nodes, np.inf)
    began, begins = np.zeros(nodes, np.int32), np.zeros(nodes, np.int32)
    # where the last word before each place began, and which it was; -1: a letter between words
    back, back_word = np.full(total + 1, -1, np.int32), np.full(total + 1, -1, np.int32)
    before[0] = 0.0
    for node in range(1, nodes):  # letters that were not heard at the very beginning
        before[node] = before[parent[node]] + given[letter[node], 0]
    for place in range(total):
        unit = heard[place]
        limit = before.min() + _BEAM
        between = before[0] + (_PARTED - _UNPARTED if unit == _SPACE else added[unit])
        after[0] = np.inf
        cheapest, ending = np.inf, 0
        for node in range(1, nodes):
            above = parent[node]
            cost, start = np.inf, 0
            if before[above] < limit:  # said and heard
                cost = before[above] + given[letter[node], unit]
                start = place if above == 0 else began[above]
            if before[node] < limit and before[node] + added[unit] < cost:  # heard, not said
                cost, start = before[node] + added[unit], began[node]
            if after[above] + given[letter[node], 0] < cost:  # said, not heard
                cost, start = after[above] + given[letter[node], 0], begins[above]
            after[node], begins[node] = cost, start
            if word[node] >= 0 and cost + word_cost[word[node]] + _UNPARTED < cheapest:
                cheapest, ending = cost + word_cost[word[node]] + _UNPARTED, node
        back[place + 1] = place
        after[0] = between
        if cheapest < between:
            after[0] = cheapest
            back[place + 1], back_word[place + 1] = begins[ending], word[ending]
        for node in range(1, nodes):  # a word begins with letters that were not heard
            above = parent[node]
            cost = after[above] + given[letter[node], 0]
            if cost < after[node]:
                after[node] = cost
                begins[node] = place + 1 if above == 0 else begins[above]
        before, after = after, before
        began, begins = begins, began
    found = np.empty(total, np.int32)
    count, place = 0, total
    while place > 0:
        if back_word[place] >= 0:
            found[count] = back_word[place]
            count += 1
        place = back[place]
    return found[:count][::-1].copy()
