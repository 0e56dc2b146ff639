"""Tables of the reference list exactly what the program knows."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from importlib.metadata import entry_points
from typing import Any

import pytest
from pydantic import BaseModel

import cryoctl
from cryoctl import exit_codes
from cryoctl.alarms import ALARMS, LOOKS, PRIORITIES, SIGNAL_DELAY_S, Onset, Severity
from cryoctl.audit import CLOCK_JUMP, CLOSED, FIELDS, LOST, OPENED
from cryoctl.audit_check import TrailVerdict
from cryoctl.cli import invoke
from cryoctl.command_audit import EXIT_CODES
from cryoctl.command_config import file_kinds
from cryoctl.cycle_table import Phase, to_mermaid
from cryoctl.records import Control, IceEstimate
from cryoctl.requirement_registry import own_registry
from cryoctl.safety_case import TIGHTER, CaseFile, Deviation, Hazard, Requirement
from cryoctl.sample import Sample
from cryoctl.session_file import PlacementTable, SessionTable
from cryoctl.summary import CycleSummary, Summary, TripSummary
from cryoctl.treatment import Treatment, shipped_treatments
from cryoctl.vendor import VendorTable
from cryoctl_hil.campaign.margins import BOUNDS
from cryoctl_hil.campaign.spec import (
    CampaignTable,
    Choices,
    Expectation,
    Fork,
    Search,
    Stop,
    Variation,
)
from cryoctl_hil.evidence.measurement import Measurement
from cryoctl_hil.evidence.record import Evidence, TestRecord
from cryoctl_hil.evidence.verify import Answer
from cryoctl_hil.fault_pages import main as write_fault_pages
from cryoctl_hil.host_faults import ALL_FAULTS
from cryoctl_hil.rigs.power import POWER_GROUP
from cryoctl_hil.rigs.rig import InstrumentTable, PowerTable, RigTable
from cryoctl_protocol.profile import Cooling, Limits, profile_names
from cryoctl_protocol.quantities import unit_of
from cryoctl_protocol.truth import TruthSample
from cryoctl_simulator.scenario import TISSUES, Scenario, shipped_scenarios
from tests.support.tree import ROOT

REFERENCE = ROOT / "docs" / "reference"
ROW = re.compile(r"^\| (`[^|]*`[^|]*?|\d+) \|", re.MULTILINE)
QUOTED = re.compile(r"`([^`]+)`")


def page(name: str) -> str:
    return (REFERENCE / f"{name}.md").read_text("utf-8")


def first_cells(text: str, header: str) -> list[str]:
    """Return the quoted names in the first column of the table whose header begins so."""
    table = text.split(f"\n{header}", 1)[1].split("\n\n", 1)[0]
    return [name for cell in ROW.findall(table) for name in QUOTED.findall(cell) or [cell]]


def keys_of(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the keys of a file's model, those of its tables with their table's name."""
    found = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner: Any = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += keys_of(inner, f"{key}.")
        else:
            found.append(key)
    return found


CYCLES, TRIPS = (
    page("command-line").split(f"\n### Each {name}\n")[1] for name in ("cycle", "trip")
)
TELEMETRY, CONTROL, ESTIMATE, TRUTH = (
    page("recording").split(f"\n## /{name}\n")[1]
    for name in ("telemetry", "control", "estimate", "truth")
)
EVIDENCE = {
    name: page("evidence-file").split(f"\n## {heading}\n")[1]
    for name, heading in (
        ("run", "The run"),
        ("test", "Each test"),
        ("measurement", "Each measurement"),
    )
}


@pytest.mark.parametrize(
    ("text", "header", "known"),
    [
        (page("command-line"), "| field | unit | meaning", list(Summary.model_fields)),
        (CYCLES, "| field | unit | meaning", list(CycleSummary.model_fields)),
        (TRIPS, "| field | unit | meaning", list(TripSummary.model_fields)),
        (TELEMETRY, "| field | unit | meaning", list(Sample._fields)),
        (CONTROL, "| field | unit | meaning", list(Control._fields)),
        (ESTIMATE, "| field | unit | meaning", list(IceEstimate._fields)),
        (TRUTH, "| field | unit | meaning", list(TruthSample._fields)),
        (page("alarms"), "| id | priority", list(ALARMS)),
        (page("faults"), "| id | group", list(ALL_FAULTS)),
        (page("audit-trail"), "| field | meaning", list(FIELDS)),
        (page("audit-trail"), "| verdict | exit code", [v.value for v in TrailVerdict]),
        (page("profiles"), "| limit | unit", list(Limits.model_fields)),
        (page("profiles"), "| figure | unit", list(Cooling.model_fields)),
        (page("treatment-file"), "| key | unit", keys_of(Treatment)),
        (page("scenario-file"), "| key | unit", keys_of(Scenario)),
        (page("scenario-file"), "| preset |", list(TISSUES)),
        (page("state-table"), "| phase |", [phase.value for phase in Phase]),
        (EVIDENCE["run"], "| field | meaning", list(Evidence.model_fields)),
        (EVIDENCE["test"], "| field | meaning", list(TestRecord.model_fields)),
        (EVIDENCE["measurement"], "| field | meaning", list(Measurement.model_fields)),
        (page("evidence-file"), "| answer | exit code", [answer.value for answer in Answer]),
    ],
    ids=[
        "summary", "cycle", "trip", "telemetry", "control", "estimate", "truth", "alarms",
        "faults", "audit", "audit verdicts",
        "limits", "cooling", "treatment keys", "scenario keys", "tissues", "phases",
        "evidence", "tests of evidence", "measurements of evidence", "answers of verify",
    ],
)  # fmt: skip
def test_a_table_lists_exactly_what_there_is(text: str, header: str, known: list[str]) -> None:
    assert first_cells(text, header) == known


def test_every_shipped_scenario_and_profile_has_its_row() -> None:
    assert set(first_cells(page("scenario-file"), "| scenario |")) == set(shipped_scenarios())
    assert set(first_cells(page("profiles"), "| profile |")) == set(profile_names())


def test_every_variable_of_the_environment_is_named_in_reference_and_how_to() -> None:
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "protocol").rglob("*.py")]
    read = {
        name
        for path in sources
        for name in re.findall(r'"(CRYOCTL_[A-Z_]+)"', path.read_text("utf-8"))
    }

    assert "CRYOCTL_MQTT_PASSWORD" in read
    for folder in ("reference", "how-to"):
        pages = (ROOT / "docs" / folder).glob("*.md")
        told = "".join(page.read_text("utf-8") for page in pages)
        assert {name for name in read if name not in told} == set()


def test_the_exit_codes_are_those_of_the_program() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.startswith("EXIT_")}

    assert {int(code) for code in first_cells(page("command-line"), "| code |")} == codes


def test_the_codes_of_audit_and_the_actions_that_no_event_makes_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| `([A-Z ]+)` \| (\d) \|", page("audit-trail"), re.MULTILINE)
    actions = first_cells(page("audit-trail"), "| action | meaning")

    assert {verdict: int(code) for verdict, code in rows} == EXIT_CODES
    assert {OPENED, CLOSED, CLOCK_JUMP, LOST} <= set(actions)


def test_the_groups_of_the_fault_catalogue_are_its_own() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", page("faults"), re.MULTILINE)

    assert rows == [(fault.fault_id, fault.group.value) for fault in ALL_FAULTS.values()]


def test_the_pages_of_faults_are_those_that_the_catalogue_makes() -> None:
    assert write_fault_pages(["--check"], root=ROOT) == 0


def test_the_alarms_are_told_as_the_table_has_them() -> None:
    told = page("alarms")

    for alarm in ALARMS.values():
        after = f" After: {', '.join(alarm.follows)}." if alarm.follows else ""
        assert (
            f"| `{alarm.id}` | {alarm.priority} | {alarm.severity.value}, {alarm.onset} | "
            f"{alarm.latching} | {alarm.detection_s:g} | {alarm.requirement} | "
            f"{', '.join(alarm.hazards)} | {alarm.text}. {alarm.action}{after} |\n"
        ) in told
    for priority, look in LOOKS.items():
        flashes = f"{look.flash_hz:g} Hz" if look.flash_hz else "no"
        period = "once" if look.burst_period_s is None else f"{look.burst_period_s:g} s"
        assert (
            f"| {priority} | `{look.mark}` | {look.colour} | {flashes} | {look.pulses} | {period} |"
        ) in told
    for severity in Severity:
        row = " | ".join(PRIORITIES[severity, onset] for onset in Onset)
        assert f"| {severity.value} | {row} |" in told
    assert f"another {SIGNAL_DELAY_S:g} s" in told


def test_the_diagram_is_drawn_from_the_table() -> None:
    assert f"```mermaid\n{to_mermaid()}```\n" in page("state-table")


@pytest.mark.parametrize(
    "kind", ["treatment", "scenario", "session", "vendor", "requirements", "rig", "campaign"]
)
def test_the_example_of_a_file_is_valid_and_so_are_its_keys(kind: str) -> None:
    name = "vendor-table" if kind == "vendor" else f"{kind}-file"
    example = page(name).split("```toml\n")[1].split("```")[0]

    file_kinds()[kind].check(example, "example.toml")

    assert tomllib.loads(example) != {}


def test_the_requirements_page_names_every_key_and_every_limit() -> None:
    tables: dict[str, type[BaseModel]] = {
        "hazard": Hazard,
        "requirement": Requirement,
        "deviation": Deviation,
    }
    text = page("requirements-file")

    assert first_cells(text, "| key |") == [
        *(f.alias or name for name, f in CaseFile.model_fields.items() if name not in tables),
        *(f"{name}.{key}" for name, table in tables.items() for key in table.model_fields),
    ]
    assert first_cells(text, "| limit to tighten |") == list(TIGHTER)
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (SR-\d\d) \|$", text, re.MULTILINE)
    assert told == [
        (
            name,
            unit_of(Limits.model_fields[name]),
            "higher" if side == "at_least" else "lower",
            next(row.id for row in own_registry().own.requirement if name in row.limits),
        )
        for name, side in TIGHTER.items()
    ]


def test_the_session_page_names_every_key() -> None:
    assert first_cells(page("session-file"), "| key |") == [
        *(f.alias or name for name, f in SessionTable.model_fields.items() if name != "placement"),
        *(f"placement.{name}" for name in PlacementTable.model_fields),
    ]


def test_the_rig_page_names_every_key_and_every_switch() -> None:
    tables: dict[str, type[BaseModel]] = {"power": PowerTable, "instrument": InstrumentTable}
    text = page("rig-file")

    assert first_cells(text, "| key |") == [
        *(f.alias or name for name, f in RigTable.model_fields.items() if name not in tables),
        *(f"{name}.{key}" for name, table in tables.items() for key in table.model_fields),
    ]
    shipped = {point.name for point in entry_points(group=POWER_GROUP)}
    assert set(first_cells(text, "| switch |")) == shipped


def test_the_campaign_page_names_every_key_and_every_margin() -> None:
    tables: dict[str, type[BaseModel]] = {
        "choose": Choices,
        "vary": Variation,
        "expect": Expectation,
        "fork": Fork,
        "search": Search,
        "stop": Stop,
    }
    text = page("campaign-file")

    assert first_cells(text, "| key |") == [
        *(f.alias or name for name, f in CampaignTable.model_fields.items() if name not in tables),
        *(
            f"{name}.NAME.{key}" if name == "vary" else f"{name}.{key}"
            for name, table in tables.items()
            for key in table.model_fields
        ),
    ]
    assert first_cells(text, "| margin |") == list(BOUNDS)


def test_the_built_in_treatments_beside_those_of_profiles_are_all_told() -> None:
    told = first_cells(page("treatment-file"), "| treatment | probe |")

    assert set(told) == set(shipped_treatments()) - set(profile_names())


def test_the_vendor_page_names_every_key() -> None:
    message: Any = VendorTable.model_fields["message"].annotation
    (message_model,) = message.__args__
    field: Any = message_model.model_fields["field"].annotation
    (field_model,) = field.__args__

    assert first_cells(page("vendor-table"), "| key |") == [
        *(f"message.{name}" for name in message_model.model_fields),
        *(f"message.field.{name}" for name in field_model.model_fields),
    ]


@pytest.mark.parametrize(
    ("command", "header"),
    [
        ("run", "| option |"),
        ("sim", "| option of sim |"),
        ("conform", "| option of conform |"),
        ("gateway", "| option of gateway |"),
        ("fleet", "| option of fleet |"),
        ("ui", "| option of ui |"),
        ("broker init", "| option of broker init |"),
        ("export", "| option of export |"),
        ("alarms", "| option of alarms |"),
        ("trace", "| option of trace |"),
        ("validate", "| option of validate |"),
        ("hil run", "| option of hil |"),
        ("evidence import", "| option of evidence import |"),
        ("campaign run", "| option of campaign run |"),
    ],
)
def test_every_option_is_explained(
    command: str, header: str, capsys: pytest.CaptureFixture[str]
) -> None:
    invoke([*command.split(), "--help"])
    options = set(re.findall(r"^  (-k|--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))

    explained = {cell.split()[0] for cell in first_cells(page("command-line"), header)}

    assert explained == options


def test_the_arguments_of_run_and_their_defaults_are_those_of_the_code() -> None:
    table = page("python-api").split("\n| argument |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", table, re.MULTILINE)

    told = {name: ast.literal_eval(default) for name, default in rows}

    parameters = inspect.signature(cryoctl.run).parameters.values()
    assert told == {parameter.name: parameter.default for parameter in parameters}
    assert list(told) == [parameter.name for parameter in parameters]


def test_connect_differs_from_run_as_the_page_says_and_so_does_nothing_in_aio() -> None:
    run = inspect.signature(cryoctl.run).parameters
    connect = inspect.signature(cryoctl.connect).parameters

    assert set(run) - set(connect) == {"arm_and_start", "session"}
    assert [name for name in connect if connect[name].default != run[name].default] == [
        "device",
        "speed",
    ]
    assert connect["speed"].default == 1.0
    assert inspect.signature(cryoctl.aio.run).parameters == run
    assert inspect.signature(cryoctl.aio.connect).parameters == connect


def test_the_members_of_a_probe_are_all_explained_and_the_same_in_aio() -> None:
    told = first_cells(page("python-api"), "| member of a probe | meaning |")

    public, awaited = (
        {name for kind in probe.__mro__ for name in vars(kind) if not name.startswith("_")}
        for probe in (cryoctl.Probe, cryoctl.aio.Probe)
    )
    assert {name.split("(")[0] for name in told} == public
    assert public == awaited


def test_the_names_of_the_package_and_of_a_result_are_all_explained() -> None:
    names = first_cells(page("python-api"), "| name | what it is |")
    attributes = first_cells(page("python-api"), "| attribute | meaning |")

    public = {name for name in vars(cryoctl.Result) if not name.startswith("_")} - {"of"}
    assert {name.removeprefix("cryoctl.") for name in names} == set(cryoctl.__all__) - {
        "__version__"
    }
    assert {name.split("(")[0] for name in attributes} == public | {"recording", "summary"}
