"""Every environment variable of the service, read once by the processes that assemble it; rooms never import this."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

_SHORTEST_SECRET = 16
_MAILBOX = r"[^\s<>@,;\x00-\x1f]+@[\w.-]+"
_SENDER = re.compile(rf"([^\x00-\x1f\x7f<>@,;\"]{{0,100}} )?<{_MAILBOX}>|{_MAILBOX}", re.ASCII)
_VISIBLE = re.compile(r"[!-~]{1,1000}")
_PERIODS = re.compile(r"([\w.-]+=\d{1,5}[dy](/\d{1,5}[dy])?)(,[\w.-]+=\d{1,5}[dy](/\d{1,5}[dy])?)*", re.ASCII)


class SettingError(ValueError):
    """An environment variable has a value that cannot be used; the message names it, the rule and an example."""


@dataclass(frozen=True)
class Settings:
    """What a process needs to know about its surroundings."""

    database_url: str | None = None
    redis_url: str | None = None
    home: Path = field(default_factory=lambda: Path(".invoicing"))
    host: str = "127.0.0.1"
    port: int = 8000
    drills: bool = False
    drill_url: str | None = None
    slots: int = 0
    lease_s: int = 10
    log_level: str = "INFO"
    rules_dir: Path | None = None
    largest_body: int = 64 * 1024 * 1024
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    metrics_token: str | None = field(default=None, repr=False)
    deadman_url: str | None = field(default=None, repr=False)
    egress_allow: str = ""
    traces: float = 0.0
    """The share of jobs whose trace is told over OTLP/HTTP."""
    keep: str = ""
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str | None = None
    alertmanager_url: str | None = None
    public_url: str | None = None

    def servers(self) -> tuple[str, str]:
        """Give the URLs of PostgreSQL and Redis to a process that does not start them itself."""
        if not self.database_url or not self.redis_url:
            raise SettingError(
                "INVOICING_DATABASE_URL and INVOICING_REDIS_URL must both be set for a single process; "
                "`invoicing up` starts everything, with servers of its own"
            )
        return self.database_url, self.redis_url


VARIABLES = {
    "INVOICING_DATABASE_URL": "PostgreSQL to use instead of the embedded one: postgresql://user:password@host:5432/name",
    "INVOICING_REDIS_URL": "Redis to use instead of the embedded one: redis://:password@host:6379/0",
    "INVOICING_HOME": "folder of the embedded servers' data, of dev-keys.json and run.json (default .invoicing)",
    "INVOICING_HOST": "address the web process listens on (default 127.0.0.1)",
    "INVOICING_PORT": "port the web process listens on (default 8000)",
    "INVOICING_DRILLS": "1 offers the kind `drill`, for rehearsals (default 0)",
    "INVOICING_DRILL_URL": "what drills of the mode `call` ask (GET), wherever it is, the same for all workers: "
    "http://127.0.0.1:8099/ready",
    "INVOICING_SLOTS": "jobs one worker process runs at a time (default: 2, or the number of cores if larger)",
    "INVOICING_LEASE_S": "seconds of silence after which the jobs of a worker go to another, the same for all workers "
    "and watchdogs; workers beat five times in it (default 10)",
    "INVOICING_LOG_LEVEL": "DEBUG, INFO, WARNING or ERROR (default INFO)",
    "INVOICING_RULES_DIR": "folder of further compiled rules (ubl/*.xslt, cii/*.xslt) that every invoice must satisfy",
    "INVOICING_LARGEST_BODY": "bytes of the largest request that is taken in (default 67108864: 64 MiB)",
    "INVOICING_METRICS_HOST": "address on which dispatcher, workers and watchdog serve /metrics (default 127.0.0.1); "
    "any but one of this machine's own needs INVOICING_METRICS_TOKEN",
    "INVOICING_METRICS_PORT": "port of it, unset: none. Each process needs one of its own; `invoicing up` counts on "
    "from it, or takes free ones for 0: run.json tells them",
    "INVOICING_METRICS_TOKEN": "lets a monitoring system read /metrics without a key; 16 characters or more",
    "INVOICING_DEADMAN_URL": "URL that the watchdog asks (GET) every minute while all its loops get on: what is there "
    "raises the alarm when it is not asked. It may be where webhooks may be",
    "INVOICING_EGRESS_ALLOW": "networks (CIDR, with commas) beside the public internet that webhooks may go to, over "
    "plain http too; for development: 127.0.0.0/8",
    "INVOICING_SMTP_URL": "server that mails are handed to, for web and watchdog: smtps://user:password@host:465, "
    "smtp://user:password@host:587?starttls, or smtp://host:25 within one's own network",
    "INVOICING_MAIL_FROM": "sender of mails: Invoices <invoices@example.com>; needed with INVOICING_SMTP_URL",
    "INVOICING_ALERTMANAGER_URL": "an Alertmanager that is told of incidents, wherever it is, the same for all "
    "watchdogs: http://alertmanager:9093",
    "INVOICING_PUBLIC_URL": "where people reach this service from outside, for the links in alerts: "
    "https://invoicing.example.com; without it alerts have no links",
    "INVOICING_KEEP": "how long finished jobs are kept, where not as their kinds say: invoice.issue=12y,drill=60d/30d "
    "(after the stroke: those dead or cancelled; no kind may be kept shorter than it says)",
}
"""Every variable with what it means; the documentation prints this table."""


def read(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment; a wrong value is refused by name."""
    env = os.environ if environment is None else environment
    rules = env.get("INVOICING_RULES_DIR")
    smtp_url, mail_from = _smtp(env, "INVOICING_SMTP_URL", "INVOICING_MAIL_FROM")
    return Settings(
        database_url=env.get("INVOICING_DATABASE_URL") or None,
        redis_url=env.get("INVOICING_REDIS_URL") or None,
        home=Path(env.get("INVOICING_HOME") or ".invoicing"),
        host=env.get("INVOICING_HOST") or "127.0.0.1",
        port=_whole(env, "INVOICING_PORT", 8000, 0, 65535),
        drills=_flag(env, "INVOICING_DRILLS"),
        drill_url=_address(env, "INVOICING_DRILL_URL", "http://127.0.0.1:8099/ready"),
        slots=_whole(env, "INVOICING_SLOTS", max(2, os.cpu_count() or 2), 2, 1000),
        lease_s=_whole(env, "INVOICING_LEASE_S", 10, 2, 120),
        log_level=_one_of(env, "INVOICING_LOG_LEVEL", ("INFO", "DEBUG", "WARNING", "ERROR")),
        rules_dir=Path(rules) if rules else None,
        largest_body=_whole(env, "INVOICING_LARGEST_BODY", 64 * 1024 * 1024, 1024, 1024**3),
        metrics_host=_metrics_host(env, "INVOICING_METRICS_HOST", "INVOICING_METRICS_TOKEN"),
        metrics_port=_port(env, "INVOICING_METRICS_PORT"),
        metrics_token=_secret(env, "INVOICING_METRICS_TOKEN"),
        deadman_url=_url(env, "INVOICING_DEADMAN_URL"),
        egress_allow=_networks(env, "INVOICING_EGRESS_ALLOW"),
        traces=_traces(env),
        keep=_periods(env, "INVOICING_KEEP"),
        smtp_url=smtp_url,
        mail_from=mail_from,
        alertmanager_url=_address(env, "INVOICING_ALERTMANAGER_URL", "http://alertmanager:9093"),
        public_url=_address(env, "INVOICING_PUBLIC_URL", "https://invoicing.example.com"),
    )


def _whole(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not low <= int(text) <= high:
        raise SettingError(f"{name}={text!r}: must be a whole number from {low} to {high}, for example {default}")
    return int(text)


def _traces(env: Mapping[str, str]) -> float:
    """Read whether to trace as OpenTelemetry's own variables say it; all others of them are read by its packages."""
    to = env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    off = env.get("OTEL_SDK_DISABLED", "").lower() == "true" or env.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    sampler = env.get("OTEL_TRACES_SAMPLER") or "always_on"
    if not to or off or "always_off" in sampler:
        return 0.0
    return _share(env, "OTEL_TRACES_SAMPLER_ARG") if "ratio" in sampler else 1.0


def _share(env: Mapping[str, str], name: str) -> float:
    text = env.get(name) or "1"
    if re.fullmatch(r"0?\.\d{1,9}|[01](\.0*)?", text) is None:
        raise SettingError(f"{name}={text!r}: must be a share from 0 to 1, for example 0.1")
    return float(text)


def _port(env: Mapping[str, str], name: str) -> int | None:
    return _whole(env, name, 9100, 0, 65535) if env.get(name) else None


def _metrics_host(env: Mapping[str, str], name: str, token: str) -> str:
    """Whoever can reach it from elsewhere needs the token."""
    host = env.get(name) or "127.0.0.1"
    if host not in {"127.0.0.1", "::1", "localhost"} and not env.get(token):
        raise SettingError(f"{name}={host!r}: must be 127.0.0.1, ::1 or localhost, or {token} must be set, too")
    return host


def _url(env: Mapping[str, str], name: str) -> str | None:
    """Check the outset; what is wrong is said without the URL, as whoever knows it may use it."""
    url = env.get(name) or None
    if url is not None and re.fullmatch(r"https?://[!-~]+", url) is None:
        raise SettingError(f"{name}: must be a URL that begins with https://")
    return url


def _secret(env: Mapping[str, str], name: str) -> str | None:
    text = env.get(name) or None
    if text is not None and (
        len(text) < _SHORTEST_SECRET or not text.isascii() or not text.isprintable() or " " in text
    ):
        raise SettingError(f"{name}: must be {_SHORTEST_SECRET} or more ASCII characters without spaces")
    return text


def _periods(env: Mapping[str, str], name: str) -> str:
    """Check how it is written; whether the kinds agree is for those to say who know the kinds."""
    text = "".join((env.get(name) or "").split())
    if text and _PERIODS.fullmatch(text) is None:
        raise SettingError(f"{name}={text!r}: must be KIND=PERIOD or KIND=PERIOD/PERIOD, for example invoice.issue=12y")
    return text


def _networks(env: Mapping[str, str], name: str) -> str:
    text = env.get(name) or ""
    try:
        return ",".join(str(ip_network(part.strip())) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingError(f"{name}={text!r}: must be networks such as 127.0.0.0/8,10.1.0.0/16 ({error})") from error


def _smtp(env: Mapping[str, str], url_name: str, sender_name: str) -> tuple[str | None, str | None]:
    """Check both; what is wrong with a URL is said without it, as it may hold a password."""
    url, sender = env.get(url_name) or None, env.get(sender_name) or None
    if url is not None and sender is None:
        raise SettingError(f"{url_name} needs {sender_name}, for example Invoices <invoices@example.com>")
    if url is not None and not _is_smtp(url):
        raise SettingError(
            f"{url_name}: must be smtps://HOST[:PORT], smtp://HOST[:PORT]?starttls or smtp://HOST[:PORT], with "
            "USER:PASSWORD@ before the host where the server wants it; no password without TLS"
        )
    if sender is not None and _SENDER.fullmatch(sender) is None:
        raise SettingError(
            f"{sender_name}={sender!r}: must be one address, for example Invoices <invoices@example.com>"
        )
    return url, sender


def _address(env: Mapping[str, str], name: str, example: str) -> str | None:
    """Read a URL that others are put behind; without the stroke at its end."""
    url = (env.get(name) or "").rstrip("/") or None
    if url is not None and not _is_address(url):
        raise SettingError(f"{name}: must be http:// or https:// with a host, and no user or query, such as {example}")
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.port != 0 and bool(parts.hostname)
    except ValueError:
        return False
    return known and _VISIBLE.fullmatch(url) is not None and not set(url) & set("@?#\\")


def _is_smtp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"smtp", "smtps"} and parts.port != 0 and bool(parts.hostname)
    except ValueError:
        return False
    plain = parts.scheme == "smtp" and parts.query != "starttls"
    bare = parts.path in {"", "/"} and parts.query in {"", "starttls"} and not parts.fragment
    return known and bare and url.isascii() and url.isprintable() and not (plain and parts.username is not None)


def _flag(env: Mapping[str, str], name: str) -> bool:
    text = (env.get(name) or "0").lower()
    if text in {"1", "true", "yes", "on"}:
        return True
    if text in {"0", "false", "no", "off"}:
        return False
    raise SettingError(f"{name}={text!r}: must be 1 or 0")


def _one_of(env: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    text = (env.get(name) or choices[0]).upper()
    if text not in choices:
        raise SettingError(f"{name}={text!r}: must be one of {', '.join(choices)}")
    return text
