"""Rules that hold jobs, set and seen over the API."""

from datetime import datetime
from typing import Any

from .conftest import Customer, Service

LARGE = {"kind": "drill", "payload": {"seconds": 100}}
SMALL = {"kind": "drill", "payload": {"seconds": 1}}
OWNER, WHY = "the billing board", {"reason": "Erika called the buyer."}
REVIEWED = {"kind": "drill", "seconds": 60, "owner": OWNER, "within_hours": 4, "reason": "large ones are looked at"}
QUOTA = {"customer": "acme", "most": 2, "period": "month", "zone": "Asia/Shanghai", "reason": "as in the contract"}


async def refresh(service: Service) -> None:
    """Do at once what the web process does every few seconds."""
    async with service.engine.connect() as session:
        await service.app.state.rules.refresh(session)


async def set_review(service: Service, **asked: Any) -> Any:
    answer = await service.admin.post("/v1/admin/reviews", json={**REVIEWED, **asked})
    await refresh(service)
    return answer


async def set_quota(service: Service, **asked: Any) -> Any:
    answer = await service.admin.post("/v1/admin/quotas", json={**QUOTA, **asked})
    await refresh(service)
    return answer


async def act(client: Customer, job: dict[str, Any], verb: str, **more: Any) -> Any:
    body = {**WHY, **({"message": "It does not fit your contract."} if verb == "reject" else {})}
    return await client.post(f"/v1/support/jobs/{job['id']}:{verb}", json=body, params=more)


async def seen(service: Service, job: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await service.acme.get(f"/v1/jobs/{job['id']}", **more)
    return dict(answer.json())


async def events(service: Service, job: dict[str, Any]) -> list[tuple[str, str]]:
    items = (await service.acme.get(f"/v1/jobs/{job['id']}/events")).json()["items"]
    return [(one["event"], one["state"]) for one in items]


def moment(told: str) -> datetime:
    return datetime.fromisoformat(told)
