"""The words of the status page, in every language that causes are told in."""

from collections.abc import Mapping
from types import MappingProxyType

WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "title": "Status",
            "taking": "Requests are taken",
            "not_taking": "No requests are taken at the moment",
            "work": "Work",
            "small": "Small work",
            "medium": "Medium work",
            "large": "Large work",
            "normal": "as usual",
            "slow": "slower than usual",
            "held_up": "held up: some or all of it is not being started",
            "unknown": "not known at the moment",
            "incidents": "Disruptions now",
            "none": "None.",
            "since": "Since {at}; {until}",
            "estimate": "should be over by {at}",
            "open_end": "nobody can say yet when it is over",
            "maintenance": "Planned maintenance",
            "from_until": "{begins} until {ends}",
            "history": "Disruptions of the last 30 days",
            "lasted": "{at}, for {minutes} min",
            "observed": "As of {at}",
        },
        "de": {
            "title": "Status",
            "taking": "Aufträge werden angenommen",
            "not_taking": "Zurzeit werden keine Aufträge angenommen",
            "work": "Arbeit",
            "small": "Kleine Arbeit",
            "medium": "Mittlere Arbeit",
            "large": "Große Arbeit",
            "normal": "wie gewohnt",
            "slow": "langsamer als gewohnt",
            "held_up": "steht: manches oder alles wird nicht begonnen",
            "unknown": "zurzeit nicht bekannt",
            "incidents": "Störungen jetzt",
            "none": "Keine.",
            "since": "Seit {at}; {until}",
            "estimate": "voraussichtlich behoben bis {at}",
            "open_end": "wann sie behoben ist, kann noch niemand sagen",
            "maintenance": "Geplante Wartung",
            "from_until": "{begins} bis {ends}",
            "history": "Störungen der letzten 30 Tage",
            "lasted": "{at}, {minutes} min lang",
            "observed": "Stand: {at}",
        },
        "zh": {
            "title": "服务状态",
            "taking": "正在接收请求",
            "not_taking": "目前不接收请求",
            "work": "处理情况",
            "small": "小型任务",
            "medium": "中型任务",
            "large": "大型任务",
            "normal": "正常",
            "slow": "比平时慢",
            "held_up": "受阻：部分或全部没有开始处理",  # noqa: RUF001 - the same
            "unknown": "目前不清楚",
            "incidents": "当前故障",
            "none": "无。",
            "since": "自 {at} 起；{until}",  # noqa: RUF001 - Chinese marks
            "estimate": "预计 {at} 前恢复",
            "open_end": "尚不清楚何时恢复",
            "maintenance": "计划维护",
            "from_until": "{begins} 至 {ends}",
            "history": "最近 30 天的故障",
            "lasted": "{at}，持续 {minutes} 分钟",  # noqa: RUF001 - the same
            "observed": "截至 {at}",
        },
    }
)
