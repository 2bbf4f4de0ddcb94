"""Every environment variable is documented, used, and refused by name when its value is wrong."""

import inspect
import re
from pathlib import Path

import pytest

from invoicing import settings
from invoicing.settings import VARIABLES, SettingError, Settings, read


def test_every_variable_that_is_read_is_documented_and_every_documented_one_is_read() -> None:
    assert set(re.findall(r'"(INVOICING_\w+)"', inspect.getsource(read))) == set(VARIABLES)


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_changes_something(name: str) -> None:
    others = {"INVOICING_PORT": "9", "INVOICING_SLOTS": "77", "INVOICING_DRILLS": "1", "INVOICING_LOG_LEVEL": "debug"}
    others["INVOICING_LEASE_S"] = "3"
    others["INVOICING_METRICS_TOKEN"] = "0123456789abcdef"
    others["INVOICING_EGRESS_ALLOW"] = "127.0.0.0/8"
    others["INVOICING_METRICS_HOST"] = "::1"
    others["INVOICING_DEADMAN_URL"] = "https://example.com/ping"
    others["INVOICING_KEEP"] = "invoice.issue=12y"
    others["INVOICING_MAIL_FROM"] = "invoices@example.com"
    others["INVOICING_SMTP_URL"] = "smtps://mail.example.com"
    others["INVOICING_ALERTMANAGER_URL"] = "http://alertmanager:9093"
    others["INVOICING_DRILL_URL"] = "http://127.0.0.1:8099/ready"
    others["INVOICING_PUBLIC_URL"] = "https://invoicing.example.com"
    beside = {"INVOICING_MAIL_FROM": "invoices@example.com"} if name == "INVOICING_SMTP_URL" else {}
    value = others.get(name, "4096")
    assert read({**beside, name: value}) != read(beside)


def test_every_default_that_is_documented_is_the_one_in_force() -> None:
    for name, meaning in VARIABLES.items():
        if stated := re.search(r"\(default (\S+?)\)", meaning):
            assert read({name: stated[1]}) == read({}), name
    assert read({"INVOICING_LARGEST_BODY": "67108864"}) == read({})


def test_an_empty_variable_counts_as_not_set() -> None:
    assert read(dict.fromkeys(VARIABLES, "")) == read({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("INVOICING_PORT", "http"), ("INVOICING_PORT", "65536"), ("INVOICING_PORT", "-1"), ("INVOICING_PORT", "8_000"),
        ("INVOICING_PORT", "٨"), ("INVOICING_SLOTS", "1"), ("INVOICING_SLOTS", "2.5"), ("INVOICING_DRILLS", "maybe"),
        ("INVOICING_LOG_LEVEL", "LOUD"), ("INVOICING_LARGEST_BODY", "0"), ("INVOICING_LARGEST_BODY", "64M"),
        ("INVOICING_LARGEST_BODY", "9" * 5000), ("INVOICING_EGRESS_ALLOW", "everything"),
        ("INVOICING_EGRESS_ALLOW", "10.0.0.1/8"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_by_name_with_the_rule(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=rf"{name}='.*': must be "):
        read({name: value})


def test_figures_are_not_shown_to_a_network_without_a_token() -> None:
    with pytest.raises(SettingError, match="INVOICING_METRICS_TOKEN must be set"):
        read({"INVOICING_METRICS_HOST": "0.0.0.0"})
    assert (
        read({"INVOICING_METRICS_HOST": "0.0.0.0", "INVOICING_METRICS_TOKEN": "0123456789abcdef"}).metrics_port is None
    )
    assert read({"INVOICING_METRICS_PORT": "0"}).metrics_port == 0


TO = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({}, 0.0), (TO, 1.0), ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector/v1/traces"}, 1.0),
        (TO | {"OTEL_SDK_DISABLED": "true"}, 0.0), (TO | {"OTEL_TRACES_EXPORTER": "none"}, 0.0),
        (TO | {"OTEL_TRACES_SAMPLER": "always_off"}, 0.0), (TO | {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}, 1.0),
        (TO | {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25),
        (TO | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, 1.0),
    ],
)  # fmt: skip
def test_traces_are_told_as_opentelemetrys_own_variables_say(given: dict[str, str], share: float) -> None:
    assert read(given).traces == share


@pytest.mark.parametrize("share", ["2", "-1", "half", "1e-3", "nan"])
def test_a_share_of_traces_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(SettingError, match="OTEL_TRACES_SAMPLER_ARG"):
        read(TO | {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": share})


def test_a_deadman_url_is_a_secret_and_is_not_repeated() -> None:
    with pytest.raises(SettingError) as refused:
        read({"INVOICING_DEADMAN_URL": "ftp://example.com/s3cr3t"})
    assert "s3cr3t" not in str(refused.value)
    assert "s3cr3t" not in repr(read({"INVOICING_DEADMAN_URL": "https://example.com/s3cr3t"}))


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com", "http://mail.example.com", "smtp://", "smtp://mail.example.com:0", "smtp://mail.example.com/x",
        "smtp://user:geheim@mail.example.com", "smtp://user:geheim@mail.example.com:587?tls", "smtps://[::1",
        "smtps://mail.example.com?starttls#x", "smtps://user:geheim@mail.example.com\r\n",
    ],
)  # fmt: skip
def test_a_mail_server_that_would_be_told_a_password_in_clear_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingError, match="INVOICING_SMTP_URL: must be smtps://") as refused:
        read({"INVOICING_SMTP_URL": url, "INVOICING_MAIL_FROM": "a@example.com"})
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    "sender", ["nobody", "a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com", "<a@example.com"]
)
def test_a_sender_is_one_address(sender: str) -> None:
    with pytest.raises(SettingError, match="INVOICING_MAIL_FROM="):
        read({"INVOICING_SMTP_URL": "smtps://mail.example.com", "INVOICING_MAIL_FROM": sender})
    with pytest.raises(SettingError, match="INVOICING_SMTP_URL needs INVOICING_MAIL_FROM"):
        read({"INVOICING_SMTP_URL": "smtps://mail.example.com"})


def test_the_password_of_the_mail_server_is_not_shown() -> None:
    url = "smtp://user:geheim@mail.example.com:587?starttls"
    found = read({"INVOICING_SMTP_URL": url, "INVOICING_MAIL_FROM": "Invoices <a@example.com>"})
    assert found.smtp_url == url
    assert "geheim" not in repr(found)


@pytest.mark.parametrize("value", ["fifteen-letters", "with a space in it", "ключ-от-всех-дверей"])
def test_a_weak_secret_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(SettingError, match="INVOICING_METRICS_TOKEN: must be 16 or more") as refused:
        read({"INVOICING_METRICS_TOKEN": value})
    assert value not in str(refused.value)
    assert "0123456789abcdef" not in repr(read({"INVOICING_METRICS_TOKEN": "0123456789abcdef"}))


def test_a_single_process_says_which_servers_it_misses() -> None:
    with pytest.raises(SettingError, match="INVOICING_DATABASE_URL and INVOICING_REDIS_URL must both be set"):
        Settings(redis_url="redis://x").servers()
    assert Settings(database_url="postgresql://x", redis_url="redis://x").servers() == (
        "postgresql://x",
        "redis://x",
    )


def test_no_other_module_reads_the_environment_of_the_service() -> None:
    source = Path(settings.__file__).parents[1]
    readers = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"os\.environ|getenv", path.read_text()) and "embedded" not in path.parts
    }
    assert readers <= {
        "invoicing/settings.py",
        "workers/launching.py",  # hands a child PATH, LANG and the log level, and nothing else
        "workers/child.py",  # its log level, before it has heard anything
    } | {path for path in readers if path.startswith("invoicing/cli/")}
