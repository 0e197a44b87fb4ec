"""What lies in deploy/ names things that exist: metrics and their labels, settings, commands, files."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric

from bot.core.models import EndReason, UtteranceState
from bot.settings import variables
from bot.telemetry import metrics
from tests.harness.clock import ManualClock
from tests.pages import PAGES, ROOT, shell_commands
from tests.unit.web.fixtures import Watching

DEPLOY = ROOT / "deploy"
ALERTS = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text(encoding="utf-8"))
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana/avatar-relay.json").read_text(encoding="utf-8"))
RULES: list[dict[str, Any]] = [rule for group in ALERTS["groups"] for rule in group["rules"]]
UNIT = (DEPLOY / "avatar-relay.service").read_text(encoding="utf-8")

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
VALUES = {"state": {state.value for state in UtteranceState}, "reason": {reason.value for reason in EndReason}}
PROMETHEUS_ITSELF = {"job", "le"}


async def _families() -> list[Metric]:
    watching = Watching(ManualClock())
    await watching.start()
    found = [*metrics.registry.collect(), *watching.server._registry.collect()]
    await watching.stop()
    return found


@pytest.fixture(scope="module")
def families() -> list[Metric]:
    """Every metric there is: those of the core, and those the web server adds while it runs."""
    return asyncio.run(_families())


@pytest.fixture(scope="module")
def samples(families: list[Metric]) -> set[str]:
    return {family.name + suffix for family in families for suffix in SUFFIXES[family.type]}


def labels_of_code() -> set[str]:
    collectors = [value for value in vars(metrics).values() if hasattr(value, "_labelnames")]
    return {label for collector in collectors for label in collector._labelnames} | {"route", "status"}


def dashboard_queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["query"]


QUERIES = [*(rule["expr"] for rule in RULES), *dashboard_queries()]


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_of_an_alert_or_a_panel_exists(query: str, samples: set[str]) -> None:
    named = set(re.findall(r"\b(?:avatar_relay|process)_\w+", query))
    assert named or query in ("prometheus", 'up{job="avatar-relay"} == 0')
    assert named <= samples


@pytest.mark.parametrize("query", QUERIES)
def test_every_label_of_an_alert_or_a_panel_exists(query: str) -> None:
    for label, values in re.findall(r'(\w+)=~?"([^"]*)"', query):
        assert label in labels_of_code() | PROMETHEUS_ITSELF
        if label in VALUES:
            assert set(values.split("|")) <= VALUES[label]
    for grouped in re.findall(r"\bby \(([\w, ]+)\)", query):
        assert set(grouped.split(", ")) <= labels_of_code() | PROMETHEUS_ITSELF


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_metric_of_a_page_exists(page: Path, families: list[Metric], samples: set[str]) -> None:
    named = set(re.findall(r"\bavatar_relay_\w*\w", page.read_text(encoding="utf-8")))
    assert {name for name in named if name not in samples | {family.name for family in families}} == set()


def test_dashboard_shows_every_metric(families: list[Metric]) -> None:
    shown = " ".join(dashboard_queries())
    ours = {family.name for family in families if family.name.startswith("avatar_relay_")}
    assert len(ours) >= 12
    assert {name for name in ours if name not in shown} == set()


def test_dashboard_has_no_two_panels_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_says_what_is_wrong_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    for kind in ("summary", "action"):
        assert rule["annotations"][kind].endswith(".")


def test_alerts_of_the_operations_page_are_those_of_the_file() -> None:
    table = (ROOT / "docs/operations.md").read_text(encoding="utf-8").partition("What to alert on")[2]
    conditions = re.findall(r"^\| `(.*?avatar_relay_.*?)`(?: for (\d+) minutes)? \|", table, re.MULTILINE)
    assert len(conditions) >= 8
    loaded = {rule["expr"]: rule.get("for") for rule in RULES}
    for condition, minutes in conditions:
        assert condition in loaded
        assert not minutes or loaded[condition] == f"{minutes}m"


def test_commands_named_in_alerts_exist() -> None:
    known = {" ".join(words) for words, _ in shell_commands()}
    named = re.findall(r"`avatar-relay ([a-z -]+)`", json.dumps(ALERTS))
    assert named
    assert set(named) <= known


def test_settings_of_the_unit_exist() -> None:
    names = re.findall(r"^Environment=([A-Z_]+)=", UNIT, re.MULTILINE)
    assert names
    assert set(names) <= {name for name, _, _ in variables()} | {"HOME"}


def test_unit_leaves_the_bot_the_time_to_close_its_avatars() -> None:
    assert "KillSignal=SIGTERM" in UNIT
    found = re.search(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert found is not None
    assert int(found[1]) >= 30
