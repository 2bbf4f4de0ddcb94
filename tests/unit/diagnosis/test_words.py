"""Every cause is told in every language: what is the matter, what happens next, and who may act; nothing internal."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from string import Formatter
from typing import Any

import pytest

from invoicing.diagnosis.model.check import Code
from invoicing.diagnosis.words import ANY, FALLBACK, Audience, Language, codes, languages, say, tell

from .situations import ago, busy, capped, cause, learned, moving, parked, paused, queued, retrying, running, waiting

INTERNAL = (
    "redis", "valkey", "postgres", "database", "sql", "arq", "host", "machine", "server", "pid", "process", "thread",
    "event loop", "lease", "heartbeat", "dispatcher", "watchdog", "runway", "ledger", "queue_", "ticket", "fenc", "bug",
    "rechner", "prozess", "datenbank", "herzschlag", "maschine", "event-loop", "mitarbeiter",
    "数据库", "主机", "进程", "线程", "租约", "心跳", "服务器", "机器", "调度", "节点", "其他客户",
)  # fmt: skip
"""What a customer's sentence does not speak of: how the service is built, and on what."""

OVER = {Code.POISON, Code.REJECTED, Code.BAD_INPUT, Code.ATTEMPTS_FAILED, Code.UNDELIVERED_RESULT}
"""Of these, mostly nothing more happens by itself, so that no time can be told."""

OTHERS = ("other customer", "another customer", "anderer kunde", "anderen kunden", "其他客户", "别的客户")

EMPTY_WORDS = (
    "please wait", "be patient", "bear with", "bitte warten", "geduld", "请等", "请稍", "稍候", "稍等", "耐心", "maybe",
    "vielleicht", "可能",
)  # fmt: skip
"""What nobody is told: it says nothing."""


def fields(template: str) -> set[str]:
    """Name the fields of a template, as in `error[message]`."""
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def shape(language: Language) -> dict[str, Any]:
    return {
        code: {
            part: {key: fields(text) for key, text in texts.items()}
            for part, texts in (("messages", words.messages), ("next", words.next), ("who", words.who))
        }
        for code, words in language.words.items()
    }


def texts(audience: Audience) -> Iterator[tuple[str, str, str]]:
    for language in languages().values():
        for code, words in language.words.items():
            for text in (*words.messages.values(), *words.next.values(), words.who[audience]):
                yield language.code, code, text


def test_every_language_says_the_same_of_every_cause() -> None:
    assert set(languages()) >= {"en", "de", "zh"}
    assert codes()[0] == FALLBACK
    english = shape(languages()[FALLBACK])
    assert set(english) == set(Code)
    for language in languages().values():
        assert shape(language) == english, language.code


def test_what_happens_next_is_known_for_every_wording_and_says_when() -> None:
    for language in languages().values():
        for code, words in language.words.items():
            assert set(words.next) - {ANY} <= set(words.messages), code
            assert ANY in words.next or set(words.next) == set(words.messages), code
            assert code in OVER or all(fields(text) for text in words.next.values()), code
            assert not any(fields(text) for text in words.who.values()), code


def spoken_of(text: str, words: Sequence[str]) -> list[str]:
    """Find words that stand, or begin, in a text between its fields."""
    told = re.sub(r"\{[^}]*\}", "", text).lower()
    return [word for word in words if re.search(rf"(?<![a-zäöü]){re.escape(word)}", told)]


def test_no_customer_reads_of_our_insides_or_of_others_or_empty_words() -> None:
    found = {
        (language, code, word)
        for language, code, text in texts(Audience.CUSTOMER)
        for word in spoken_of(text, (*INTERNAL, *OTHERS, *EMPTY_WORDS))
    }
    assert found == set()
    assert spoken_of("Please wait, its lease on {host} is over.", (*INTERNAL, *EMPTY_WORDS)) == ["lease", "please wait"]


def test_not_even_our_staff_read_empty_words() -> None:
    assert [text for _, _, text in texts(Audience.STAFF) if spoken_of(text, EMPTY_WORDS)] == []


def test_each_language_is_written_in_its_own_script_and_marks() -> None:
    for language, code, text in texts(Audience.CUSTOMER):
        told = re.sub(r"\{[^}]*\}", "", text)
        assert bool(re.search(r"[\u4e00-\u9fff]", told)) == (language == "zh"), (code, text)
        assert not (language == "zh" and re.search(r"[,;?!]", told)), (code, text)
        assert text[-1] in ".。", (code, text)


@pytest.mark.parametrize(
    ("job", "around", "language", "said"),
    [
        (waiting(60), busy() | queued(1), "de", "1 Auftrag ist vor Ihrem an der Reihe."),
        (waiting(60), busy() | queued(1234, at_least=True), "en", "At least 1,234 jobs are ahead of yours."),
        (waiting(60), busy() | queued(1234, at_least=True), "de",
         "Mindestens 1.234 Aufträge sind vor Ihrem an der Reihe."),
        (waiting(60), busy() | queued(1234, at_least=True), "zh", "您的任务前面至少还有 1,234 个任务。"),
        (waiting(60), capped(1, running=1), "en",
         "One of your jobs may run at a time, and one does. Yours starts when it ends."),
        (retrying(8), {}, "de", ("Versuch 1 von 3 ist fehlgeschlagen (This drill fails.). "
         "Der nächste beginnt am 22.11.2026, 12:00:08 UTC.")),
        (waiting(60), paused(), "zh", ("我们的运维团队已暂停此队列，直至 2026-11-22 12:10:00 UTC"  # noqa: RUF001 - Chinese marks
         "（The database moves.）。您的任务保留原有位置。")),  # noqa: RUF001 - the same
        (moving(3700, 2), {}, "en", ("Your job is being worked on: 2 of 10 bill months done after 1 h 1 min. "
         "We have seen too few jobs like it to say how long is normal.")),
        (replace(moving(3700, 2), progress_unit="lines"), {}, "de", ("Ihr Auftrag wird bearbeitet: 2 von 10 Positionen "
         "nach 1 h 1 min erledigt. Wir haben noch zu wenige ähnliche gesehen, um zu sagen, was normal ist.")),
        (running(40), learned(5, took=0.75), "de", ("Ihr Auftrag wird seit 40 s bearbeitet; "
         "99 von 100 ähnlichen enden innerhalb von 6,2 s.")),
    ],
)  # fmt: skip
def test_numbers_times_and_plurals_are_the_languages_own(
    job: Any, around: dict[str, Any], language: str, said: str
) -> None:
    assert say(cause(job, around), language) == said


def test_a_cause_is_told_with_what_happens_next_and_who_may_act() -> None:
    told = tell(cause(parked(), busy() | queued(3)))
    assert told.next == (
        "It goes on by itself from where it stopped when its turn comes. Next news here by 2026-11-22 12:00:40 UTC."
    )
    assert told.who == "Nobody needs to act. If it is urgent, tell our support: they may put it before others."
    staff = tell(cause(parked(), busy() | queued(3)), "en", Audience.STAFF)
    assert staff == replace(told, who="Support or operations: expedite, or move. Operations: add workers.")


@pytest.mark.parametrize(
    "spent", [(5, "5 s"), (0.44, "0.4 s"), (59.7, "1 min"), (130, "2 min 10 s"), (90_000, "1 d 1 h")]
)
def test_spans_are_told_as_people_say_them(spent: tuple[float, str]) -> None:
    check = replace(cause(running()), wording="known", evidence={"worked_s": spent[0]})
    assert say(check) == f"Your job is being worked on, for {spent[1]} now, which is normal."


def test_a_language_that_is_missing_falls_back_to_english() -> None:
    assert tell(cause(running()), "xx") == tell(cause(running()))


def test_the_end_of_a_cause_is_the_time_that_is_named() -> None:
    told = tell(cause(waiting(due_at=ago(-60))), "de")
    assert told.next == "Am 22.11.2026, 12:01:00 UTC reiht er sich von selbst ein."
    later = replace(cause(waiting(60), {"workers": ()}), observed_at=ago(-30) + timedelta(seconds=45))
    assert "12:02:10" in tell(later).next
