"""Fetching results: whole, in ranges over the seams of its parts, and as far as they are finished."""

import hashlib
from typing import Any

import pytest

PARTS = (b"0123456789", b"abcdefghij", b"", b"KLMNO")
WHOLE = b"".join(PARTS)
SHA = hashlib.sha256(WHOLE).hexdigest()


@pytest.fixture
async def path(service: Any) -> str:
    job = await service.acme.job()
    await service.hand.start(job["id"])
    await service.hand.write(job["id"], "result ü.txt", *PARTS, sha256=SHA)
    await service.hand.end(job["id"])
    (artifact,) = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["artifacts"]
    assert (artifact["bytes"], artifact["sha256"], artifact["complete"]) == (len(WHOLE), SHA, True)
    return str(artifact["href"])


async def test_the_file_comes_whole_with_its_name_and_digest(acme: Any, path: str) -> None:
    answer = await acme.get(path)
    assert (answer.status_code, answer.content) == (200, WHOLE)
    assert answer.headers["etag"] == f'"{SHA}"'
    assert answer.headers["complete"] == "true"
    assert answer.headers["content-length"] == str(len(WHOLE))
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''result%20%C3%BC.txt")
    assert answer.headers["x-content-type-options"] == "nosniff"
    head = await acme.head(path)
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(WHOLE)))


@pytest.mark.parametrize("first", range(0, len(WHOLE), 3))
@pytest.mark.parametrize("length", [1, 7, 30])
async def test_any_range_gives_just_those_bytes(acme: Any, path: str, first: int, length: int) -> None:
    answer = await acme.get(path, headers={"Range": f"bytes={first}-{first + length - 1}"})
    end = min(first + length, len(WHOLE))
    assert (answer.status_code, answer.content) == (206, WHOLE[first:end])
    assert answer.headers["content-range"] == f"bytes {first}-{end - 1}/{len(WHOLE)}"


@pytest.mark.parametrize(
    ("header", "status", "content"),
    [
        ("bytes=-5", 206, WHOLE[-5:]),
        ("bytes=20-", 206, WHOLE[20:]),
        ("bytes=0-1,3-4", 200, WHOLE),
        ("lines=1-2", 200, WHOLE),
        ("bytes=5-2", 200, WHOLE),
        ("bytes=25-", 416, None),
        ("bytes=-0", 416, None),
        (f"bytes={10**30}-", 416, None),
    ],
)
async def test_other_ranges_are_read_as_the_standard_says(
    acme: Any, path: str, header: str, status: int, content: bytes | None
) -> None:
    answer = await acme.get(path, headers={"Range": header})
    assert answer.status_code == status
    if content is None:
        assert answer.headers["content-range"] == f"bytes */{len(WHOLE)}"
    else:
        assert answer.content == content


async def test_conditions_use_the_digest(acme: Any, path: str) -> None:
    same, other = f'"{SHA}"', '"other"'
    assert (await acme.get(path, headers={"If-None-Match": same})).status_code == 304
    assert (await acme.get(path, headers={"If-None-Match": other})).status_code == 200
    assert (await acme.get(path, headers={"Range": "bytes=0-0", "If-Range": same})).status_code == 206
    assert (await acme.get(path, headers={"Range": "bytes=0-0", "If-Range": other})).status_code == 200


async def test_finished_parts_of_an_unfinished_job_can_be_fetched_and_say_so(service: Any) -> None:
    job = await service.acme.job()
    await service.hand.start(job["id"])
    await service.hand.write(job["id"], "rows.csv", b"2015\n", b"2016\n")
    (artifact,) = (await service.acme.get(f"/v1/jobs/{job['id']}")).json()["artifacts"]
    assert (artifact["sha256"], artifact["complete"], artifact["bytes"]) == (None, False, 10)
    answer = await service.acme.get(artifact["href"])
    assert (answer.status_code, answer.content, answer.headers["complete"]) == (200, b"2015\n2016\n", "false")
    assert answer.headers["cache-control"] == "no-store"
    assert "etag" not in answer.headers


async def test_an_unknown_file_is_not_found(acme: Any, path: str) -> None:
    for name in ("other.txt", "%00"):
        assert (await acme.get(path.rpartition("/")[0] + f"/{name}")).status_code == 404
