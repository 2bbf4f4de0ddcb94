"""A customer reads about a job in the language asked for, and no cache hands one language out for another."""

from typing import Any

import pytest

WELCOME = {
    "en": "Accepted this moment; its lane comes next.",
    "de": "Soeben angenommen; er reiht sich gerade ein.",
    "zh": "刚刚受理，正在进入队列。",  # noqa: RUF001 - Chinese marks
}
NO_WORKER = {"en": "None of our workers", "de": "Für diese Art von Warteschlange", "zh": "目前没有处理程序"}


@pytest.mark.parametrize(("asked", "language"), [("de-AT,en;q=0.5", "de"), ("zh-CN", "zh"), ("fr", "en"), (None, "en")])
async def test_whatever_tells_of_a_job_speaks_the_language_asked_for(service: Any, asked: str, language: str) -> None:
    headers = {"Accept-Language": asked} if asked else {}
    accepted = await service.acme.submit(headers=headers, key="once")
    assert accepted.json()["cause"]["message"] == WELCOME[language]
    path = f"/v1/jobs/{accepted.json()['id']}"
    replayed = await service.acme.submit(headers=headers, key="once")
    read = await service.acme.get(path, headers=headers)
    listed = await service.acme.get("/v1/jobs", headers=headers)
    batch = {**headers, "Idempotency-Key": f"b-{language}", "Content-Type": "application/x-ndjson"}
    many = await service.acme.post("/v1/jobs:batch", content=b'{"kind":"drill","payload":{"seconds":1}}', headers=batch)
    acted = await service.support.post(
        f"/v1/support{path.removeprefix('/v1')}:expedite?dry_run=true", json={"reason": "A test."}, headers=headers
    )
    told = [replayed.json(), read.json(), listed.json()["items"][0], acted.json()["job"]]
    assert [job["cause"]["message"].startswith(NO_WORKER[language]) for job in told] == [True] * 4, told
    assert many.json()["job"]["cause"]["message"] == WELCOME[language]
    for answer in (accepted, replayed, read, listed, many, acted):
        assert (answer.headers["content-language"], answer.headers["vary"]) == (language, "Accept-Language")


async def test_what_is_known_in_one_language_is_not_known_in_another(service: Any) -> None:
    job = await service.acme.job()
    path = f"/v1/jobs/{job['id']}"

    async def ask(language: str, tag: str) -> tuple[int, str, str]:
        answer = await service.acme.get(path, headers={"Accept-Language": language, "If-None-Match": tag})
        return answer.status_code, answer.headers["etag"], answer.headers["vary"]

    assert await ask("en", '"1"') == (304, '"1"', "Accept-Language")
    assert await ask("de", '"1"') == (200, '"1-de"', "Accept-Language")
    assert await ask("de", '"1-de"') == (304, '"1-de"', "Accept-Language")
    assert await ask("zh", 'W/"1-de"') == (200, '"1-zh"', "Accept-Language")
    waited = await service.acme.get(
        path, headers={"Accept-Language": "zh", "If-None-Match": '"1-de"', "Prefer": "wait=30"}
    )
    assert (waited.status_code, waited.headers["content-language"]) == (200, "zh")
