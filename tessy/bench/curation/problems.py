"""Invented problem statements in the layout of programming contests: as many different ones as are asked for.

They share what real ones share: input and output formats, constraints, the vocabulary of a topic. They say
nothing about taste; what the thresholds are chosen by are real statements (`tessy.bench.curation.texts`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence


def _words(text: str, between: str | None = None) -> Sequence[str]:
    return text.split(between)


TOPICS: dict[str, tuple[str, Sequence[str]]] = {
    "arrays": (
        "an array $a$ of $n$ integers",
        (
            "find the length of its longest subsegment whose sum is divisible by $k$",
            "count the pairs of positions whose values differ by exactly $k$",
            "find the largest sum of a subsegment that has at most $k$ elements",
            "rearrange it so that neighbours differ as little as possible, and print the largest difference",
            "remove at most $k$ elements so that the rest is sorted, or say that this is impossible",
            "split it into $k$ consecutive parts so that the largest sum of a part is as small as possible",
            "count the subsegments in which every value occurs an even number of times",
            "find for each position the nearest position to the left that has a larger value",
        ),
    ),
    "strings": (
        "a string $s$ of $n$ lowercase English letters",
        (
            "find the shortest substring that contains at least $k$ different letters",
            "count the substrings that read the same in both directions",
            "change at most $k$ letters so that the longest run of equal letters is as long as possible",
            "find the lexicographically smallest string after removing exactly $k$ letters",
            "decide whether it can be cut into $k$ parts that are all palindromes",
            "find the number of different strings that at most $k$ swaps of neighbours lead to",
            "find the longest prefix that occurs at least $k$ times as a substring",
            "count the ways to insert one letter so that the result is a palindrome",
        ),
    ),
    "graphs": (
        "a connected undirected graph with $n$ vertices and $m$ edges",
        (
            "find the smallest number of edges whose removal leaves exactly $k$ components",
            "count the vertices that lie on every shortest path from vertex 1 to vertex $n$",
            "find the shortest walk from vertex 1 to vertex $n$ that uses at most $k$ toll edges",
            "colour the vertices with $k$ colours so that no edge joins equal colours, or print -1",
            "choose $k$ vertices for hospitals so that the largest distance to a hospital is smallest",
            "find the number of edges that belong to at least one minimum spanning tree",
            "direct every edge so that the largest in-degree is at most $k$, or say that there is no way",
            "find the second shortest path between vertices 1 and $n$ that repeats no vertex",
        ),
    ),
    "trees": (
        "a rooted tree with $n$ vertices, each of which has a weight",
        (
            "find the largest total weight of $k$ vertices of which no two are adjacent",
            "answer queries for the sum of the weights on the path between two vertices",
            "cut exactly $k$ edges so that the heaviest part is as light as possible",
            "find the number of paths whose total weight is exactly $k$",
            "find a vertex whose removal leaves no part with more than half of the vertices",
            "count the subtrees that have at least $k$ different weights",
            "find the two leaves that are farthest from each other",
            "move the root so that the sum of all depths becomes smallest",
        ),
    ),
    "numbers": (
        "two integers $n$ and $k$",
        (
            "count the integers from 1 to $n$ that have exactly $k$ divisors",
            "find the smallest number above $n$ whose digits sum to $k$",
            "find the number of ways to write $n$ as a sum of $k$ different positive integers",
            "count the pairs $(x, y)$ with $x y \\le n$ and greatest common divisor $k$",
            "find the last nonzero digit of $n!$ in base $k$",
            "find the largest $x$ for which $k^x$ divides the product of the integers from 1 to $n$",
            "count the numbers up to $n$ that no prime below $k$ divides",
            "find how many times the digit $k$ is written when all numbers from 1 to $n$ are listed",
        ),
    ),
    "grids": (
        "a grid of $n$ rows and $m$ columns with free and blocked cells",
        (
            "find the shortest path from the upper left to the lower right cell through at most $k$ walls",
            "count the rectangles of free cells with an area of at least $k$",
            "find the largest square that contains at most $k$ blocked cells",
            "place $k$ guards so that every free cell of the border is watched, or print -1",
            "count the ways to walk from the first row to the last one going only down, left and right",
            "find the smallest number of cells to free so that all free cells are connected",
            "tile the free cells with dominoes, or say that this cannot be done",
            "find the cell from which all others are reached in the fewest moves",
        ),
    ),
}
NAMES = _words(
    "Alice Bob Farida Igor Chen Malik Noor Priya Tomas Yuki Zara Oleg Kofi Lena Ravi Sofia Emre Ines"
)
PLACES = _words(
    "library harbour museum orchard railway market observatory bakery school airport theatre factory "
    "mill garden castle island village laboratory warehouse stadium"
)
THINGS = _words(
    "crates tickets lanterns books wagons apples letters coins maps tiles ropes bottles clocks signals "
    "drums robots kites stamps candles puzzles barrels feathers shells ladders medals"
)
QUALITIES = _words(
    "heavy bright old fragile narrow silent curious broken golden wooden distant crowded narrow hidden "
    "quick tall empty painted polite stubborn cheap northern forgotten round"
)
VERBS = _words(
    "collects sorts repairs counts sells paints moves compares labels weighs borrows arranges exchanges "
    "inspects stacks photographs delivers measures lends records"
)
TIMES = _words(
    "every morning|before the winter|after a long meeting|on the last day of the fair|once a week|"
    "during the night|when nobody is watching|as soon as the bell rings|while the river is frozen|"
    "whenever a guest arrives|at the end of each month|since the storm",
    "|",
)
SENTENCES = (
    "{name} {verb} {quality} {things} in the {place} {time}.",
    "The {place} near the {quality} {place2} is known for its {things}, and {name} {verb} them {time}.",
    "{Time}, a {quality} {place} sends {number} {things} to {name}, who {verb} them with great care.",
    "Nobody knows why the {quality} {things} of the {place} are worth more than those of the {place2}.",
    "For {number} years {name} has kept a {quality} list of all {things} that the {place} {verb}.",
    "{name} and {name2} argue about the {quality} {things} that somebody left at the {place} {time}.",
    "It takes {number} minutes to carry the {things} from the {place} to the {quality} {place2}.",
    "Last year the {place} lost {number} {quality} {things}, which {name2} still {verb} {time}.",
)
CONDITIONS = (
    "Every element may be used at most {number} times.",
    "The first and the last one never count.",
    "Two of them are equal only if their positions have the same parity.",
    "If there are several answers, the one that {name} would meet first is wanted.",
    "Between two operations at least {number} seconds must pass.",
    "No operation may touch the same place twice in a row.",
    "Values above {number} are treated as if they were {number}.",
    "An operation costs {number} coins the first time and one coin more each time after that.",
    "All choices are made before {name} sees any of the results.",
    "The order of equal ones does not matter.",
)


class Problems:
    """Different statements, one after another. The same seed gives the same ones."""

    def __init__(self, seed: int, characters: int = 2000) -> None:
        """Statements have about so many `characters`."""
        self._random = random.Random(seed)
        self._characters = characters

    def one(self, topic: str | None = None, task: int | None = None) -> str:
        """A statement of a topic and one of its tasks, both drawn unless they are given."""
        draw = self._random
        topic = topic or draw.choice(list(TOPICS))
        given, tasks = TOPICS[topic]
        task = draw.randrange(len(tasks)) if task is None else task
        tail = self._tail(topic)
        story = [self._sentence(draw.choice(SENTENCES))]
        asked = f"You are given {given}. Your task is to {tasks[task]}."
        rules = [self._sentence(one) for one in draw.sample(CONDITIONS, draw.randint(2, 4))]
        while len(" ".join(story)) + len(asked) + len(" ".join(rules)) + len(tail) < self._characters:
            story.append(self._sentence(draw.choice(SENTENCES)))
        title = f"{draw.choice(QUALITIES).title()} {draw.choice(THINGS).title()}"
        return f"# {title}\n\n{' '.join(story)}\n\n{asked} {' '.join(rules)}\n\n{tail}"

    def _sentence(self, form: str) -> str:
        draw = self._random
        name, name2 = draw.sample(NAMES, 2)
        place, place2 = draw.sample(PLACES, 2)
        time = draw.choice(TIMES)
        return form.format(
            name=name,
            name2=name2,
            place=place,
            place2=place2,
            time=time,
            Time=time[0].upper() + time[1:],
            quality=draw.choice(QUALITIES),
            things=draw.choice(THINGS),
            verb=draw.choice(VERBS),
            number=draw.randint(2, 999),
        )

    def _tail(self, topic: str) -> str:
        """Formats, constraints and examples, worded as everybody words them."""
        draw = self._random
        most = 10 ** draw.randint(3, 9)
        lines = {
            "arrays": "The second line contains $n$ integers $a_1, a_2, \\ldots, a_n$.",
            "strings": "The second line contains the string $s$.",
            "graphs": "Each of the next $m$ lines contains two integers $u$ and $v$, the ends of an edge.",
            "trees": "The second line contains $n - 1$ integers, the parents of vertices $2, 3, \\ldots, n$.",
            "numbers": "There is one test case on each of the following lines.",
            "grids": "Each of the next $n$ lines contains $m$ characters, `.` for free and `#` for blocked.",
        }
        first = "The first line contains two integers $n$ and $k$" + (
            f" ($1 \\le n \\le {draw.randint(2, 9)} \\cdot 10^{draw.randint(3, 5)}$, $1 \\le k \\le {most}$)."
        )
        last = "Print the answer modulo $10^9 + 7$." if draw.random() < 0.5 else "Print a single integer."
        examples = "\n\n".join(self._example(number) for number in (1, 2))
        return f"## Input\n\n{first} {lines[topic]}\n\n## Output\n\n{last}\n\n{examples}"

    def _example(self, number: int) -> str:
        draw = self._random
        values = " ".join(str(draw.randint(1, 99)) for _ in range(draw.randint(5, 12)))
        head = f"{draw.randint(5, 12)} {draw.randint(1, 9)}"
        answer = draw.randint(0, 999)
        return f"### Sample Input {number}\n\n{head}\n{values}\n\n### Sample Output {number}\n\n{answer}"
