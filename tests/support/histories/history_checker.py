"""A checker of histories: what the service promises, proved over what clients saw, in the manner of Jepsen and Elle."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.support.histories.losses import Losses
from tests.support.histories.recorded import (
    Activated,
    Appended,
    ClockSet,
    Disturbed,
    History,
    ItemChanged,
    Published,
    ReadBack,
    Recommended,
    Record,
    Row,
    StoreLost,
    UserDeleted,
)

UNLIKING = ("hide", "seen")
"""Events that the service is told to read as disliking, or as saying nothing of liking."""


class Finding(NamedTuple):
    """A promise, and what was seen of it."""

    promise: str
    seen: str


class Verdict(NamedTuple):
    """What the service has broken, and what the fault model lets it lose, by name."""

    violations: list[Finding]
    excused: list[Finding]

    def broken(self) -> set[str]:
        """Promises that were not kept."""
        return {each.promise for each in self.violations}


class Expected(NamedTuple):
    """What is known of one row before the service is asked for it."""

    row: Row
    first: Record
    last: Record
    acknowledged: Record | None
    attempts: int


class Promises(NamedTuple):
    """What is promised that a configuration decides."""

    group_of: Callable[[str], str]
    """Taste group of an item."""
    full_every_s: float
    settles_within: float = 0.0
    """On the recorder's clock, until every replica has a new version."""


def check(history: History, promises: Promises) -> Verdict:
    """Check every promise over a history."""
    checker = Checker(history, promises)
    for each in (
        checker.check_archive,
        checker.check_own_writes_are_excluded,
        checker.check_read_backs,
        checker.check_withdrawn_items,
        checker.check_versions,
        checker.check_pinned_versions,
        checker.check_dislikes,
        checker.check_trainings,
        checker.check_trainings_have_news,
    ):
        each()
    return Verdict(checker.violations, checker.excused)


class Checker:
    """One pass over one history."""

    def __init__(self, history: History, promises: Promises) -> None:
        self.violations: list[Finding] = []
        self.excused: list[Finding] = []
        self._history = history
        self._promises = promises
        self._losses = Losses(history)
        self._rows = {each.row.timestamp: each for each in _expected(history)}
        self._rows_of: dict[str, list[Expected]] = defaultdict(list)
        for each in self._rows.values():
            self._rows_of[each.row.user_id].append(each)
        self._deleted: dict[str, list[UserDeleted]] = defaultdict(list)
        for deletion in history.of(UserDeleted):
            if deletion.outcome != "refused":
                self._deleted[deletion.user_id].append(deletion)
        self._changed: dict[str, list[ItemChanged]] = defaultdict(list)
        for change in history.of(ItemChanged):
            if change.outcome != "refused":
                self._changed[change.item_id].append(change)

    def check_archive(self) -> None:
        """What was acknowledged is learned once; who was deleted is forgotten."""
        ending = self._history.ending
        if ending is None:
            return
        if ending.waiting:
            self._broken("all is learned in the end", f"{ending.waiting} interactions still wait")
        for key, expected in self._rows.items():
            self._check_count(expected, ending.archive[key], "the archive")
        for key in ending.archive.keys() - self._rows.keys():
            self._broken("nothing is made up", f"the archive has a row of {key}, which nobody sent")

    def check_own_writes_are_excluded(self) -> None:
        """Who has interacted with an item is not recommended it."""
        for answer in self._whole_answers():
            for expected in self._rows_of[answer.user_id]:
                sent = expected.acknowledged
                if sent is None or sent.ended > answer.began or expected.row.item_id not in answer.items:
                    continue
                seen = f"{answer.user_id} is recommended {expected.row.item_id} after {expected.row}; {answer}"
                if self._may_be_erased(expected, answer.ended):
                    continue
                if self._losses.excuse_row_for(expected.row.timestamp, sent, answer.version, answer.ended):
                    self._excused("own writes are excluded", seen)
                else:
                    self._broken("own writes are excluded", seen)

    def check_read_backs(self) -> None:
        """A user's interactions are all there, once, newest first."""
        for answer in self._history.of(ReadBack):
            if answer.outcome == "done":
                self._check_read_back(answer)

    def check_withdrawn_items(self) -> None:
        """What was deleted or withdrawn is not recommended until it is put again."""
        for answer in self._whole_answers():
            for item_id in answer.items:
                self._check_withdrawn(answer, item_id, self._changed[item_id])

    def check_versions(self) -> None:
        """Between two choices of somebody, nobody sees an older version after a newer one."""
        choices = list(self._history.of(Activated))
        answers = [each for each in self._history.of(Recommended) if each.outcome == "done" and each.version]
        newest: Recommended | None = None
        for answer in sorted(answers, key=lambda each: each.ended):
            if newest is not None and int(answer.version) < int(newest.version):
                between = (choice.began < answer.ended and newest.began < choice.ended for choice in choices)
                if not any(between) and answer.began >= newest.ended + self._promises.settles_within:
                    self._broken("versions only rise", f"{answer.version} after {newest.version}: {answer}")
            if newest is None or int(answer.version) >= int(newest.version) or _chosen(choices, newest, answer):
                newest = answer

    def check_pinned_versions(self) -> None:
        """What somebody chose serves until they choose again."""
        choices = sorted(self._history.of(Activated), key=lambda each: each.began)
        ends = [*(each.began for each in choices[1:]), math.inf]
        for choice, end in zip(choices, ends, strict=False):
            if choice.version is None or choice.outcome != "done":
                continue
            for answer in self._history.of(Recommended):
                during = choice.ended + self._promises.settles_within <= answer.began and answer.ended <= end
                if during and answer.outcome == "done" and answer.version != choice.version:
                    self._broken("a chosen version serves", f"{choice.version} was chosen: {answer}")

    def check_dislikes(self) -> None:
        """What a user hid draws in no more of its kind, before it is learned as after."""
        before: dict[tuple[str, int], Recommended] = {}
        for answer in sorted(self._whole_answers(), key=lambda each: each.began):
            key = answer.user_id, answer.wanted
            if key in before and before[key].version == answer.version:
                self._check_not_drawn_in(before[key], answer)
            before[key] = answer

    def check_trainings(self) -> None:
        """Full trainings come as often as the schedule says, unless somebody sets the clock."""
        fulls = [each for each in self._history.of(Published) if each.mode == "full"]
        for earlier, later in itertools.pairwise(fulls):
            was_set = any(
                earlier.began < each.ended and each.began < later.ended for each in self._history.of(ClockSet)
            )
            if not was_set and later.at_s - earlier.at_s < self._promises.full_every_s:
                apart = f"{earlier.version} and {later.version} are {later.at_s - earlier.at_s:.0f} s apart"
                self._broken("full trainings keep to the schedule", apart)

    def check_trainings_have_news(self) -> None:
        """No increment is trained when nothing has happened; a full training goes over all again."""
        kinds = (Appended, ItemChanged, UserDeleted, StoreLost, Activated)
        news = sorted(each.ended for each in self._history.records if isinstance(each, kinds))
        published = {each.version: each for each in self._history.of(Published)}
        # a second trainer may take the news from one that has looked already
        disturbed = [each for each in self._history.of(Disturbed) if each.what == "two trainers"]
        for version in published.values():
            parent = published.get(version.parent or "")
            if any(each.began < version.ended and version.began < each.ended for each in disturbed):
                continue
            if (
                parent
                and version.mode == "incremental"
                and not any(parent.began < each for each in news if each < version.ended)
            ):
                self._broken("trainings have news", f"{version.version} of {parent.version}, {version.began}")

    def _whole_answers(self) -> Iterator[Recommended]:
        answers = self._history.of(Recommended)
        return (each for each in answers if each.outcome == "done" and not each.degraded)

    def _check_read_back(self, answer: ReadBack) -> None:
        times = [row.timestamp for row in answer.rows]
        if times != sorted(times, reverse=True):
            self._broken("read back newest first", f"{answer}")
        found = Counter(times)
        for expected in self._rows_of[answer.user_id]:
            if expected.first.began < answer.ended:
                self._check_count(expected, found[expected.row.timestamp], f"{answer}", answer.began, answer.ended)
        for row in answer.rows:
            known = self._rows.get(row.timestamp)
            if known is None or known.row != row:
                self._broken("nothing is made up", f"read back {row}, sent {known and known.row}")

    def _check_count(
        self, expected: Expected, count: int, where: str, began: float = math.inf, ended: float = math.inf
    ) -> None:
        """That a row is there as often as it may be, for whoever asks from one moment to another."""
        row, sent = expected.row, expected.acknowledged
        once, whole = ("read back once", "read back whole") if ended < math.inf else ("learned once", "nothing is lost")
        if count and sent is None and expected.last.outcome == "refused" and expected.attempts == 1:
            self._broken("what was refused is not there", f"{row} in {where}")
        elif count > self._at_most(expected):
            self._broken(once, f"{count} of {row} in {where}")
        elif count and (erased := self._was_erased(expected, began)):
            excused = self._losses.excuse_change(erased, ended)
            self._add(excused, "who was deleted is forgotten", f"{row} in {where}, {erased}")
        elif not count and sent and sent.ended <= began and not self._may_be_erased(expected, ended):
            excused = self._losses.excuse_row(row.timestamp, sent, ended)
            self._add(excused, whole, f"{row}, acknowledged at {sent.ended}, is not in {where}")

    def _at_most(self, expected: Expected) -> int:
        """Once, and once more for each loss of the store between two attempts, which takes the event ids along."""
        return 1 + min(expected.attempts - 1, self._losses.between(expected.first.began, expected.last.ended))

    def _was_erased(self, expected: Expected, asked_at: float) -> UserDeleted | None:
        """Deletion that certainly came after the row and before the question."""
        return next(
            (
                each
                for each in self._deleted[expected.row.user_id]
                if each.outcome == "done" and expected.last.ended <= each.began and each.ended <= asked_at
            ),
            None,
        )

    def _may_be_erased(self, expected: Expected, asked_at: float) -> bool:
        deletions = self._deleted[expected.row.user_id]
        return (
            any(expected.first.began < each.ended and each.began < asked_at for each in deletions)
        ) or self._may_be_of_a_deleted_item(expected, asked_at)

    def _may_be_of_a_deleted_item(self, expected: Expected, asked_at: float) -> bool:
        """Whether a full training may have found the item deleted, and left out what it had."""
        changes = self._changed[expected.row.item_id]
        puts = [each for each in changes if each.available and each.ended <= expected.first.began]
        return any(
            each.began < asked_at and not any(each.ended <= put.began and put.outcome == "done" for put in puts)
            for each in changes
            if not each.available
        )

    def _check_withdrawn(self, answer: Recommended, item_id: str, changes: Sequence[ItemChanged]) -> None:
        before = [
            each for each in changes if not each.available and each.outcome == "done" and each.ended <= answer.began
        ]
        if not before:
            return
        withdrawn = max(before, key=lambda each: each.began)
        if any(each.available and withdrawn.began < each.ended and each.began < answer.ended for each in changes):
            return
        excused = self._losses.excuse_change(withdrawn, answer.ended, answer.version)
        # a replica notices a loss by a lower sequence of items; where changes have made up for it since, by the trainer
        excused = excused or self._losses.is_being_put_right(withdrawn, answer.began, self._promises.settles_within)
        self._add(excused, "withdrawn items stay away", f"{item_id} in {answer}, {withdrawn}")

    def _check_not_drawn_in(self, before: Recommended, after: Recommended) -> None:
        hidden = self._hidden_between(before, after)
        groups = {self._promises.group_of(row.item_id) for row in hidden}
        for group in groups:
            counts = [
                sum(self._promises.group_of(item_id) == group for item_id in answer.items) for answer in (before, after)
            ]
            if counts[1] > counts[0]:
                seen = f"{counts[0]} → {counts[1]} of {group} for {after.user_id} after {hidden}; {before}, {after}"
                self._broken("what is hidden draws in nothing", seen)

    def _hidden_between(self, before: Recommended, after: Recommended) -> list[Row]:
        """What the user hid between two answers, where nothing else that may matter happened."""
        if self._is_disturbed(before.began, after.ended):
            return []
        rows = [
            each
            for each in self._rows_of[after.user_id]
            if before.began < each.last.ended and each.first.began < after.ended
        ]
        certain = all(each.first.began >= before.ended and each.last.ended <= after.began for each in rows)
        return [each.row for each in rows] if certain and all(each.row.event in UNLIKING for each in rows) else []

    def _is_disturbed(self, began: float, ended: float) -> bool:
        kinds = (ItemChanged, StoreLost, Activated, UserDeleted)
        return any(
            isinstance(each, kinds) and began < each.ended and each.began < ended for each in self._history.records
        )

    def _add(self, excused: bool, promise: str, seen: str) -> None:
        (self.excused if excused else self.violations).append(Finding(promise, seen))

    def _broken(self, promise: str, seen: str) -> None:
        self._add(False, promise, seen)

    def _excused(self, promise: str, seen: str) -> None:
        self._add(True, promise, seen)


def _expected(history: History) -> Iterator[Expected]:
    attempts: dict[float, list[tuple[Row, Appended]]] = defaultdict(list)
    for call in history.of(Appended):
        for row in call.rows:
            attempts[row.timestamp].append((row, call))
    for of_row in attempts.values():
        calls = [call for _, call in of_row]
        done = [call for call in calls if call.outcome == "done"]
        yield Expected(of_row[0][0], calls[0], calls[-1], done[0] if done else None, len(calls))


def _chosen(choices: Sequence[Activated], newest: Recommended, answer: Recommended) -> bool:
    return any(choice.began < answer.ended and newest.began < choice.ended for choice in choices)
