"""What a real Alertmanager makes of our alerts."""

from pathlib import Path
from urllib.parse import urlsplit

import yaml

from invoicing.alerts.carrying import Alerts
from invoicing.alerts.model import AlertState, ChannelKind, Severity
from invoicing.kit.egress import ANYWHERE, Egress

from ...integration.alerts.desk import Desk, alert, moment, over, then
from ...integration.outbox.receiver import receiving
from .real_alertmanager import alertmanager

SHIPPED = Path(__file__).parents[3] / "deploy" / "monitoring" / "alertmanager.yaml"


async def test_an_incident_stands_there_until_it_is_over_even_if_alertmanager_forgot_it(
    desk: Desk, tmp_path: Path
) -> None:
    async with alertmanager(tmp_path / "first") as running:
        url = running.url
        await desk.channel(ChannelKind.ALERTMANAGER, url)
        desk.start(Alerts(Egress(), trusted={url: Egress(allowed=ANYWHERE)}))
        first = alert(severity=Severity.S3)
        await desk.say(first)
        await desk.rests("waiting")
        (stands,) = await running.alerts()
        assert stands["status"]["state"] == "active"
        assert stands["annotations"]["summary"] == first.title
        assert moment(stands["startsAt"]) == first.since
        worse = then(first, severity=Severity.S1)
        await desk.say(worse)
        await desk.rests("delivered", "waiting")
        assert [one["labels"]["severity"] for one in await running.alerts()] == ["S1"], "it is one alert, not two"
    async with alertmanager(tmp_path / "second", port=urlsplit(url).port or 0) as running:
        assert await running.alerts() == []
        await desk.hurry()
        await desk.until(running.alerts)
        (again,) = await running.alerts()
        assert (again["labels"]["severity"], again["annotations"]["jobs"]) == ("S1", "41")
        acknowledged = then(worse, state=AlertState.ACKNOWLEDGED)
        await desk.say(acknowledged)
        await desk.rests("delivered", "delivered", "waiting")
        assert [one["annotations"]["state"] for one in await running.alerts()] == ["acknowledged"]
        await desk.say(over(acknowledged))
        await desk.rests("delivered", "delivered", "delivered", "delivered")
        assert await running.alerts() == []


async def test_the_shipped_configuration_pages_for_the_incident_and_not_for_its_symptoms_or_what_can_wait(
    desk: Desk, tmp_path: Path
) -> None:
    async with receiving() as page:
        configuration = yaml.safe_load(SHIPPED.read_text())
        for receiver in configuration["receivers"]:
            for hook in receiver.get("webhook_configs", []):
                hook["url"] = urlsplit(page.url)._replace(path=f"/{receiver['name']}").geturl()
        configuration["route"]["group_wait"] = "0s"
        for route in configuration["route"]["routes"]:
            route["group_wait"] = "0s"
        async with alertmanager(tmp_path, yaml.safe_dump(configuration)) as running:
            await desk.channel(ChannelKind.ALERTMANAGER, running.url)
            desk.start()
            one = alert()
            await desk.say(one)
            await desk.rests("waiting")
            (got,) = await page.wait_for(1)
            assert got.path == "/invoicing"
            assert [told["labels"]["incident"] for told in got.json["alerts"]] == [str(one.incident_id)]
            symptom = {"labels": {"alertname": "JobsWait", "service": "invoicing", "cause": one.cause}}
            await running.post(symptom)
            (suppressed,) = await running.alerts(filter='alertname="JobsWait"')
            assert (suppressed["status"]["state"], len(page.got)) == ("suppressed", 1)
            await desk.say(alert(severity=Severity.S4))
            assert (await page.wait_for(2))[-1].path == "/tickets"
