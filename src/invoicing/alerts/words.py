"""Alerts in plain words: a heading and lines, for mails and chats."""

from invoicing.alerts.model import AlertState, Said, called, shown


def heading(said: Said) -> str:
    """Say the most important in one line."""
    alert = said.alert
    if said.tests:
        return one_line(alert.title)
    mark = {AlertState.OPEN: "", AlertState.ACKNOWLEDGED: "acknowledged: ", AlertState.RESOLVED: "resolved: "}
    return f"[{alert.severity}] {mark[alert.state]}{one_line(alert.title)}"


def lines(said: Said, incident: str | None = None, acknowledge: str | None = None) -> list[str]:
    """Say all of it."""
    alert = said.alert
    if said.tests:
        return [one_line(alert.summary)]
    told = [one_line(alert.summary), "", f"Cause: {one_line(alert.cause)} ({one_line(alert.scope)})"]
    told.append(
        f"Touched: {alert.jobs} {_of(alert.jobs, 'job')} of {alert.customers} {_of(alert.customers, 'customer')}"
    )
    told.append(f"Since: {shown(alert.since)}")
    if alert.state is AlertState.RESOLVED:
        told.append(f"Over since: {shown(alert.ended_at or said.at)}")
    else:
        told.append(f"Expected to end: {'unknown' if alert.estimate is None else shown(alert.estimate)}")
    if alert.on_call:
        told.append(f"On call: {one_line(called(alert.on_call))}")
    for word, value in (("What to do", alert.runbook), ("Incident", incident), ("Acknowledge", acknowledge)):
        if value:
            told.append(f"{word}: {one_line(value)}")
    return told


def one_line(text: str) -> str:
    """Make one line of a text: nothing in it begins another line, or another header."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())[:2_000]


def _of(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
