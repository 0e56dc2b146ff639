"""Whom we may command at all, and what ARM and START ask for."""

from __future__ import annotations

import pytest

from cryoctl.cycle_table import Phase
from cryoctl.cycles import Verdict
from cryoctl.operator_requests import Request
from cryoctl.storage import FINE, not_kept, with_room
from cryoctl_protocol.auth import session_keys
from cryoctl_protocol.codec import SCHEMA_HASH
from cryoctl_protocol.codes import Answer, Capability, HostMode, Op, Trip
from cryoctl_protocol.messages import Command, HelloHost, Lease
from tests.support.bench import Bench, a_device, automatic_bench
from tests.support.builders import a_treatment, n2o_profile

LEASE_ONLY = int(Capability.LEASE)


# -- whom may we command (SR-28, SR-01, SR-25) -----------------------------------------------------


@pytest.mark.requirement("SR-28")
def test_a_probe_with_another_profile_is_not_commanded() -> None:
    bench = automatic_bench(device=a_device(profile_hash=1))

    bench.run_to_the_end()

    ours = f"{n2o_profile().hash32:08x}"
    assert bench.controller.failure == (
        f"begin refused: the probe's profile is n2o-20g (00000001), the treatment's n2o-20g "
        f"({ours}): use the treatment of this probe, or the same version on both sides (SR-28)"
    )
    assert (bench.device.commands, bench.device.stops) == ([], [])
    assert bench.sink.samples != []


@pytest.mark.requirement("SR-01")
@pytest.mark.parametrize("capabilities", [0, LEASE_ONLY, int(Capability.FREEZE_TIMER)])
def test_a_probe_without_protection_of_its_own_is_monitored_and_never_commanded(
    capabilities: int,
) -> None:
    bench = Bench(device=a_device(capabilities=capabilities))
    bench.run_until(lambda: bench.phase is Phase.IDLE)

    refused = bench.ask(Request.BEGIN)
    bench.run_for(2.0)

    assert refused is not None
    assert "monitor only" in refused.reason
    assert bench.phase is Phase.IDLE
    assert (bench.device.commands, bench.device.stops) == ([], [])
    assert len(bench.sink.samples) > 90


@pytest.mark.requirement("SR-01")
def test_a_bench_waiver_allows_a_probe_without_protection() -> None:
    device = a_device(capabilities=0)
    bench = automatic_bench(a_treatment(count=1), device, bench_waiver="bench 3, no gas")

    bench.run_to_the_end()

    assert bench.controller.verdict is Verdict.PASS


def test_a_probe_with_another_message_table_gives_telemetry_only_and_a_clear_text() -> None:
    bench = automatic_bench(device=a_device(schema_hash=0x12345678))

    bench.run_to_the_end()

    assert bench.controller.failure == (
        f"device speaks protocol 1.0 with message table 12345678, this program 1.0 with "
        f"{SCHEMA_HASH:08x}: telemetry only; update the older side"
    )
    assert bench.controller.link_failure
    assert (bench.device.commands, bench.device.stops) == ([], [])


def test_a_probe_with_another_key_never_opens_a_session() -> None:
    bench = automatic_bench(device=a_device(key=b"another key"))

    bench.run_to_the_end()

    assert bench.controller.failure == "no session with the device within 5 s: no answer"
    assert bench.device.commands == []


@pytest.mark.requirement("SR-25")
def test_a_probe_that_another_controller_holds_is_left_alone() -> None:
    device = a_device()
    bench = automatic_bench(device=device)
    keys = session_keys(device.key, 77, 88)
    device.session._keys = keys
    for step in range(600):  # The other one renews its lease every 100 ms.
        if step % 10 == 0:
            lease = Lease(step + 1, HostMode.IDLE, device.device_ms + 300)
            device.session._on_lease(lease, device.device_ms)
        bench.shell.step()
        if bench.controller.finished:
            break
    bench.run_for(0.5)

    assert bench.controller.failure == (
        "no session with the device within 5 s: another controller holds it"
    )
    assert bench.controller.link_failure
    assert (device.commands, device.stops) == ([], [])
    sent = {type(message) for _, message in bench.sink.sent_messages()}
    assert sent == {HelloHost}


@pytest.mark.requirement("SR-25")
def test_a_probe_whose_controller_fell_silent_can_be_had_a_second_later() -> None:
    device = a_device()
    bench = automatic_bench(a_treatment(count=1), device)
    device.session._keys = session_keys(device.key, 77, 88)
    device.session._on_lease(Lease(1, HostMode.IDLE, 300), 0)

    bench.run_until(lambda: bench.phase is Phase.IDLE)

    assert 1.0 <= bench.now_s <= 1.5
    bench.run_to_the_end()
    assert bench.controller.verdict is Verdict.PASS


# -- ARM and START (SR-26) -------------------------------------------------------------------------


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize(("after_s", "allowed"), [(9.99, True), (10.0, True), (10.01, False)])
def test_start_must_follow_arm_within_ten_seconds(after_s: float, allowed: bool) -> None:
    bench = Bench()
    bench.run_to(Phase.READY)
    assert bench.ask(Request.ARM) is None
    arm_s = bench.now_s
    bench.run_for(after_s)

    refused = bench.controller.request(Request.START, arm_s + after_s)

    assert (refused is None) is allowed
    bench.run_for(0.1)
    assert bench.phase is (Phase.COOLING if allowed else Phase.READY)


@pytest.mark.requirement("SR-26")
def test_an_arm_refused_after_the_operator_went_elsewhere_is_a_trip() -> None:
    bench = Bench()
    bench.run_to(Phase.READY)
    bench.device.refuse = {Op.ARM: Answer.SENSOR}
    assert bench.ask(Request.ARM) is None
    assert bench.ask(Request.PLACE) is None

    bench.run_to(Phase.FAULT)

    assert bench.trip_ids() == ["COMMAND_FAILED"]
    assert bench.controller.failure == ""


@pytest.mark.requirement("SR-26")
def test_an_arm_that_is_not_followed_is_void_and_can_be_given_again() -> None:
    bench = Bench()
    bench.run_to(Phase.ARMED)
    bench.run_for(10.1)
    assert bench.phase is Phase.READY
    refused = bench.ask(Request.START)
    bench.device.state = type(bench.device.state)(0)  # The probe's own timer, SR-26 there too.

    bench.run_to(Phase.COOLING)

    assert refused is not None
    assert [op for _, op in bench.device.commands].count(Op.ARM) == 2


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("phase", [Phase.IDLE, Phase.SELF_TEST, Phase.READY, Phase.HOLD])
def test_start_without_arm_is_refused(phase: Phase) -> None:
    bench = Bench()
    bench.run_to(phase)
    commands = len(bench.sink.sent_commands())

    refused = bench.ask(Request.START)

    assert refused is not None
    assert len(bench.sink.sent_commands()) == commands


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize(("phase", "request_"), [(Phase.READY, "arm"), (Phase.ARMED, "start")])
def test_a_double_click_counts_once(phase: Phase, request_: str) -> None:
    bench = Bench()
    bench.run_to(phase)

    first = bench.ask(Request(request_))
    second = bench.ask(Request(request_))
    bench.run_for(2.0)

    assert first is None
    assert second is not None
    assert second.reason == "the probe has not answered the last command yet"
    assert bench.trip_ids() == []
    ops = [Op(command.op).name.lower() for _, command in bench.sink.sent_commands()]
    assert ops.count(request_) == 1


@pytest.mark.requirement("SR-26")
def test_one_arm_and_start_authorise_all_cycles() -> None:
    bench = automatic_bench(a_treatment(count=3))

    bench.run_to_the_end()

    ops = [op for _, op in bench.device.commands]
    assert (ops.count(Op.ARM), ops.count(Op.START), ops.count(Op.FREEZE)) == (1, 1, 3)


def test_every_reason_against_arm_is_told_at_once() -> None:
    bench = Bench(cartridge_g=3.0)
    bench.run_to(Phase.READY)
    bench.device.telemetry = {"battery_mv": 3_000}
    bench.run_for(0.1)

    refused = bench.ask(Request.ARM)

    assert refused is not None
    assert refused.reason == (
        "SR-22: not enough gas for all cycles: fewer cycles, a shorter hold or a new cartridge; "
        "SR-36: battery too low: charge the handpiece"
    )
    assert bench.phase is Phase.READY


@pytest.mark.requirement("SR-33")
def test_arm_waits_for_a_recorder_that_records() -> None:
    bench = Bench()
    bench.run_to(Phase.READY)
    bench.sink.storage = not_kept("the disk is gone")
    bench.run_for(0.1)

    refused = bench.ask(Request.ARM)
    bench.sink.storage = FINE
    bench.run_for(0.1)

    assert refused is not None
    assert refused.reason == "SR-33: the disk is gone"
    assert bench.ask(Request.ARM) is None
    assert [e.data["text"] for e in bench.sink.of_kind("storage")] == ["the disk is gone", ""]


@pytest.mark.requirement("SR-33")
def test_little_room_on_the_disk_is_an_alarm_and_almost_none_refuses_arm() -> None:
    bench = Bench()
    bench.run_to(Phase.READY)
    bench.sink.storage = with_room(499_000_000, FINE)
    bench.run_for(0.1)
    with_little = bench.controller.arm_blockers(bench.now_s)
    bench.sink.storage = with_room(99_900_000, bench.sink.storage)
    bench.run_for(0.1)

    refused = bench.ask(Request.ARM)

    assert with_little == []
    assert bench.controller.alarms == ["DISK_LOW"]
    assert refused is not None
    assert refused.reason == (
        "SR-33: 100 MB free where the recording is; arming needs 100 MB: make room, or give "
        "another --out"
    )


def test_the_room_on_the_disk_is_told_once_for_each_level() -> None:
    low = with_room(400_000_000, FINE)

    assert with_room(300_000_000, low) is low
    assert with_room(50_000_000, low).refuses_arming
    assert with_room(600_000_000, low) is FINE


@pytest.mark.requirement("SR-19")
def test_a_leak_test_of_more_than_half_an_hour_ago_blocks() -> None:
    bench = Bench()
    bench.run_to(Phase.READY)
    tested_s = bench.now_s
    assert bench.controller.arm_blockers(tested_s + 1_799.0) == []

    refused = bench.controller.request(Request.ARM, tested_s + 1_801.0)

    assert refused is not None
    assert refused.reason == "SR-19: leak test too old"


def test_commands_carry_deadlines_on_the_devices_clock() -> None:
    bench = automatic_bench(a_treatment(count=1))
    bench.run_to_the_end()

    for at_s, command in bench.sink.sent_commands():
        assert isinstance(command, Command)
        assert command.deadline_ms == pytest.approx(at_s * 1000.0 + 250, abs=40)


@pytest.mark.requirement("SR-26")
@pytest.mark.parametrize("request_", [Request.PLACE, Request.PLACED, Request.ARM])
def test_what_is_not_possible_yet_is_refused_and_changes_nothing(request_: Request) -> None:
    bench = Bench()
    bench.run_to(Phase.SELF_TEST)

    refused = bench.ask(request_)

    assert refused is not None
    assert bench.phase is Phase.SELF_TEST


@pytest.mark.requirement("SR-27")
def test_a_trip_that_the_probe_held_before_we_came_is_no_trip_of_ours_but_blocks() -> None:
    bench = Bench()
    bench.device.trip_silently(Trip.SKIN_COLD)
    bench.run_until(lambda: bench.phase is Phase.IDLE)

    bench.run_for(1.0)

    assert bench.phase is Phase.IDLE
    assert bench.trip_ids() == []
    assert "SR-27" in [blocker.id for blocker in bench.controller.arm_blockers(bench.now_s)]
