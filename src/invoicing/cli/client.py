"""The service as the command line sees it: requests over HTTP, refusals turned into faults with their remedy."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Self

import httpx

from invoicing.cli.dev_keys_file import keys_file, read_keys
from invoicing.cli.faults import NOT_ALLOWED, NOT_REACHABLE, REFUSED, USAGE, Fault
from invoicing.cli.run_file import RunFile

FINISHED = frozenset({"succeeded", "dead", "cancelled"})

Answer = dict[str, Any]

_PATIENCE = httpx.Timeout(60.0, connect=5.0)
_LANGUAGE = re.compile(r"[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
_WAIT_S = 5
"""How long one long poll lasts (seconds): short, so that a service that went away is soon noticed."""


class Service:
    """A service at a URL, with a key."""

    def __init__(self, url: str, key: str) -> None:
        """Connect to nothing yet."""
        self.url = url.rstrip("/")
        self._http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=_PATIENCE, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def speak(self, language: str) -> None:
        """Ask from now on for sentences in a language (BCP 47), where the service speaks it."""
        if not _LANGUAGE.fullmatch(language):
            raise Fault(f"{language!r} names no language.", "Give a code such as de or zh-CN.", USAGE)
        self._http.headers["Accept-Language"] = language

    def get(self, path: str, **parameters: str | int | None) -> Answer:
        """Read something."""
        asked = {name: value for name, value in parameters.items() if value is not None}
        return _read(self._send("GET", path, params=asked))

    def post(self, path: str, body: Mapping[str, Any] | None = None, **parameters: str | None) -> Answer:
        """Have something done."""
        asked = {name: value for name, value in parameters.items() if value is not None}
        return _read(self._send("POST", path, json=body, params=asked))

    def await_(self, path: str, seconds: int) -> Answer:
        """Have something done, and wait for what comes of it at most so long."""
        return _read(self._send("POST", path, headers={"Prefer": f"wait={seconds}"}))

    def create(self, path: str, body: Mapping[str, Any], key: str) -> Answer:
        """Have something made; the same key never makes a second one."""
        return _read(self._send("POST", path, json=body, headers={"Idempotency-Key": key}))

    def delete(self, path: str) -> None:
        """Have something removed."""
        answered = self._send("DELETE", path)
        if answered.is_error:
            raise refusal(answered)

    def put(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Have something written anew."""
        return _read(self._send("PUT", path, json=body))

    def fetch_text(self, path: str, **parameters: str | int) -> str:
        """Read something that is not JSON."""
        answered = self._send("GET", path, params=parameters)
        if answered.is_error:
            raise refusal(answered)
        return answered.text

    def post_text(self, path: str, text: bytes, media_type: str, **parameters: str | int | None) -> Answer:
        """Send something that is not JSON."""
        asked = {name: value for name, value in parameters.items() if value is not None}
        return _read(self._send("POST", path, content=text, headers={"Content-Type": media_type}, params=asked))

    def patch(self, path: str, body: Mapping[str, Any]) -> Answer:
        """Have something changed."""
        return _read(self._send("PATCH", path, json=body))

    def submit(self, body: BinaryIO, key: str) -> Answer:
        """Submit one job, streaming its body; the same key never makes a second job. Gives `{job, replayed}`."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        answered = self._send("POST", "/v1/jobs", content=_pieces(body), headers=headers)
        job = _read(answered)
        return {"job": job, "replayed": answered.headers.get("Idempotency-Replayed") == "true"}

    def submit_many(self, lines: bytes, key: str) -> Iterator[Answer]:
        """Submit a batch; gives an answer for each line, in order, as they come."""
        headers = {"Content-Type": "application/x-ndjson", "Idempotency-Key": key}
        with self._stream("POST", "/v1/jobs:batch", content=lines, headers=headers) as answered:
            for line in answered.iter_lines():
                yield json.loads(line)

    def changed(self, job_id: str, tag: str | None) -> tuple[Answer, str] | None:
        """Wait a few seconds for a job to be other than `tag` says; None when it was not."""
        headers = {"Prefer": f"wait={_WAIT_S}"} | ({"If-None-Match": tag} if tag else {})
        answered = self._send("GET", f"/v1/jobs/{job_id}", headers=headers)
        if answered.status_code == httpx.codes.NOT_MODIFIED:
            return None
        return _read(answered), answered.headers.get("ETag", "")

    def download(self, artifact: Mapping[str, Any], folder: Path | None) -> int:
        """Fetch a result file, into a folder or only to see that it is whole; gives its size in bytes."""
        digest, size = hashlib.sha256(), 0
        target = None if folder is None else folder / Path(str(artifact["name"])).name
        draft = None if target is None else target.with_name(f".{target.name}.part")
        with self._stream("GET", str(artifact["href"])) as answered, _written(draft) as file:
            for piece in answered.iter_bytes():
                digest.update(piece)
                size += len(piece)
                if file is not None:
                    file.write(piece)
        if artifact.get("sha256") and digest.hexdigest() != artifact["sha256"]:
            raise Fault(
                f"{artifact['name']} arrived damaged: its sha256 is not the one that was promised.", "Try again."
            )
        if draft is not None and target is not None:
            draft.replace(target)
        return size

    def _send(self, method: str, path: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own arguments
        with _faults_of(self.url):
            return self._http.request(method, path, **more)

    @contextmanager
    def _stream(self, method: str, path: str, **more: Any) -> Iterator[httpx.Response]:  # noqa: ANN401 - as above
        with _faults_of(self.url), self._http.stream(method, path, **more) as answered:
            if answered.is_error:
                answered.read()
                raise refusal(answered)
            yield answered


def reach(home: Path, url: str | None, key: str | None, role: str = "customer") -> Service:
    """Find the service and a key for it: as given, else as the home folder says.

    A key of the home folder is only sent to the service of that folder.
    """
    running = RunFile.of(home).read()
    local = running["url"] if running else None
    found = url or local
    if found is None:
        raise Fault(
            f"Nothing says where the service is: {home / 'run.json'} is not there.",
            "Start it with `invoicing up`, or name it with --url (or INVOICING_URL).",
            NOT_REACHABLE,
        )
    if not found.startswith(("http://", "https://")):
        raise Fault(f"{found!r} is no URL of a service.", "It begins with http:// or https://.")
    if key is None and found.rstrip("/") == local:
        key = read_keys(home).get(role)
    if key is None:
        raise Fault(
            f"There is no {role}'s key for {found}.",
            f"Give one with INVOICING_KEY or --key; on this machine `invoicing up` writes {keys_file(home)}.",
            NOT_ALLOWED,
        )
    return Service(found, key)


def refusal(answered: httpx.Response) -> Fault:
    """Turn a problem (RFC 9457) into a fault that shows its detail, fields and remedies."""
    try:
        problem = answered.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return Fault(f"The service answered {answered.status_code} {answered.reason_phrase}, and not in JSON.")
    code = NOT_ALLOWED if answered.status_code in {401, 403} else REFUSED
    return Fault(problem_text(problem), str(problem.get("remedy") or ""), code)


def problem_text(problem: Mapping[str, Any]) -> str:
    """Put a problem into lines: what is wrong, where, and each finding with its remedy."""
    lines = [f"{problem.get('detail') or problem.get('title')} ({problem.get('code')})"]
    if problem.get("field"):
        lines.append(f"  field: {problem['field']}")
    findings = problem.get("errors") or ()
    for one in findings if len(findings) > 1 else ():  # of one finding, detail, field and remedy say it all
        lines.append(f"  {one.get('field') or '/'}: {one.get('message')} [{one.get('code')}]")
        if one.get("remedy"):
            lines.append(f"    {one['remedy']}")
    if problem.get("status", 0) >= httpx.codes.INTERNAL_SERVER_ERROR:
        lines.append(f"  support reference: {problem.get('support_reference')}")
    return "\n".join(lines)


def _read(answered: httpx.Response) -> Answer:
    if answered.is_error:
        raise refusal(answered)
    found: Answer = answered.json()
    return found


@contextmanager
def _faults_of(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as error:
        raise Fault(
            f"{url} does not answer in time ({type(error).__name__}).",
            "Is it overloaded? `invoicing doctor`.",
            NOT_REACHABLE,
        ) from error
    except httpx.TransportError as error:
        raise Fault(
            f"{url} cannot be reached: {error}.", "Is it running? `invoicing up` starts it.", NOT_REACHABLE
        ) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Fault(f"{url!r} is no URL of a service: {error}.") from error


@contextmanager
def _written(draft: Path | None) -> Iterator[BinaryIO | None]:
    if draft is None:
        yield None
        return
    with draft.open("wb") as file:
        yield file


def _pieces(body: BinaryIO) -> Iterator[bytes]:
    while piece := body.read(256 * 1024):
        yield piece
