"""The simulated vendor without sockets: what it charges, when, and what becomes of a project."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.sandbox.driver import FakeClock

from batchsync.errors import SettingError
from batchsync.model.job import Mode
from batchsync.sandbox.config import SandboxConfig
from batchsync.sandbox.faults import Fault
from batchsync.sandbox.project import Ask
from batchsync.sandbox.refusal import Refusal
from batchsync.sandbox.world import TRUE_RATES, World

START = 10_000
Maker = Callable[..., World]


def ask(seconds: float = 10.0, **changes: Any) -> Ask:
    plain = {"name": "n", "video": "https://e.com/v.mp4", "audio": "https://e.com/a.wav", "start_seconds": 0.0}
    return Ask(**{**plain, "end_seconds": seconds, **changes})


def in_balance(world: World) -> bool:
    balance = world.balance()
    return balance == world.granted - sum(project.charged for project in world.projects())


@pytest.fixture
def make(clock: FakeClock) -> Iterator[Maker]:
    worlds: list[World] = []

    def maker(state_dir: Path | None = None, **changes: Any) -> World:
        config = {
            "credits": START,
            "queue_seconds": 2,
            "render_seconds": 10,
            "render_sigma": 0,
            "fps": 24.0,
            **changes,
        }
        worlds.append(World(SandboxConfig(**config), clock=clock, state_dir=state_dir))
        return worlds[-1]

    yield maker
    for world in worlds:
        world.close()


def test_the_estimate_is_taken_at_once_and_settled_when_the_render_ends(make: Maker, clock: FakeClock) -> None:
    world = make()
    project = world.create(ask())
    assert (project.charged, world.balance()) == (300, START - 300)
    clock.time += 11.9
    assert world.balance() == START - 300
    clock.time += 0.2
    assert world.balance() == START - 240  # nobody has looked at the project itself
    assert world.project(project.id).charged == 240


def test_status_follows_from_the_time(make: Maker, clock: FakeClock) -> None:
    project = make().create(ask())
    steps = {0: "queued", 1.9: "queued", 2: "rendering", 11.9: "rendering", 12: "complete", 1e9: "complete"}
    for later, status in steps.items():
        assert project.status(clock.time + later) == status
    assert project.shown_fps(clock.time) == 30
    assert project.shown_fps(clock.time + 12) == 24


@pytest.mark.parametrize(
    ("changes", "estimate", "final"),
    [
        ({"max_fps": 12.0}, 300, 120),
        ({"max_fps": 60.0}, 300, 240),
        ({"mode": Mode.PRO}, 600, 480),
        ({"mode": Mode.STANDARD}, 300, 240),
        ({"start_seconds": 1.0, "seconds": 1.1}, 3, 3),  # 2.4 frames are 3
        ({"seconds": 0.13}, 4, 4),
    ],
)
def test_what_things_cost(make: Maker, clock: FakeClock, changes: Any, estimate: int, final: int) -> None:
    world = make()
    project = world.create(ask(**changes))
    assert project.charged == estimate
    clock.time += 100
    assert world.project(project.id).charged == final
    assert in_balance(world)


def test_a_fast_video_costs_more_than_its_estimate_even_below_zero(make: Maker, clock: FakeClock) -> None:
    world = make(credits=300, fps=60.0)
    world.create(ask())
    assert world.balance() == 0
    clock.time += 100
    assert world.balance() == -300


@pytest.mark.parametrize(
    ("fault", "status", "charged"),
    [
        ("render:error:no_source_face", "error", 0),
        ("render:error(code=unknown_error, refund=0.5)", "error", 150),
        ("render:error(refund=0)", "error", 300),
        ("render:cancel", "canceled", 0),
        ("render:cancel:0.25", "canceled", 225),
    ],
)
def test_refunds(make: Maker, clock: FakeClock, fault: str, status: str, charged: int) -> None:
    world = make()
    project = world.create(ask(), Fault.parse(fault))
    assert world.balance() == START - 300
    clock.time += 100
    assert world.balance() == START - charged
    assert project.status(clock.time) == status
    assert world.project(project.id).charged == charged


def test_canceling_gives_everything_back_once(make: Maker, clock: FakeClock) -> None:
    world = make()
    running, ended = world.create(ask()), None
    assert world.cancel(running.id)
    assert (world.balance(), running.status(clock.time)) == (START, "canceled")
    assert not world.cancel(running.id)
    ended = world.create(ask())
    clock.time += 100
    assert not world.cancel(ended.id)
    assert (world.balance(), ended.status(clock.time)) == (START - 240, "complete")


def test_a_fault_cancels_half_way(make: Maker, clock: FakeClock) -> None:
    project = make().create(ask(), Fault.parse("render:cancel"))
    assert project.status(clock.time + 6.9) == "rendering"
    assert project.status(clock.time + 7) == "canceled"


def test_canceling_what_would_have_failed_gives_everything_back(make: Maker) -> None:
    world = make()
    assert world.cancel(world.create(ask(), Fault.parse("render:error(refund=0.5)")).id)
    assert world.balance() == START


def test_no_credits_no_project(make: Maker) -> None:
    world = make(credits=299)
    with pytest.raises(Refusal) as refused:
        world.create(ask())
    assert (refused.value.status, refused.value.code) == (402, "insufficient_credits")
    assert (world.balance(), world.projects()) == (299, ())
    world.set_balance(300)
    world.create(ask())
    assert world.balance() == 0
    assert in_balance(world)


@pytest.mark.parametrize("mode", [Mode.PRO, Mode.STANDARD])
def test_paid_modes_need_a_paid_plan(make: Maker, mode: Mode) -> None:
    world = make(tier="free")
    world.create(ask())
    with pytest.raises(Refusal) as refused:
        world.create(ask(mode=mode))
    assert (refused.value.status, refused.value.code) == (402, "plan_upgrade_required")


def test_the_true_frame_rate_follows_from_the_content(make: Maker) -> None:
    rates = [make(fps=None).create(ask(video=f"https://e.com/{n}.mp4")).fps for n in range(40)]
    again = [make(fps=None, seed=9).create(ask(video=f"https://e.com/{n}.mp4")).fps for n in range(40)]
    assert rates == again
    assert set(rates) == set(TRUE_RATES)


def test_render_times_are_spread_around_their_median_and_repeatable(make: Maker) -> None:
    def times(world: World) -> list[float]:
        return [world.create(ask(0.1)).fate.render_seconds for _ in range(300)]

    first = times(make(render_sigma=0.5))
    assert first == times(make(render_sigma=0.5))
    assert first != times(make(render_sigma=0.5, seed=1))
    assert 9 < sorted(first)[150] < 11
    assert max(first) > 20


def test_a_slow_render_takes_longer(make: Maker) -> None:
    world = make()
    assert world.create(ask(), Fault.parse("render:slow:60")).ends_at == world.create(ask()).ends_at + 60


def test_ids_have_the_vendors_shape_and_never_repeat_between_sandboxes(make: Maker) -> None:
    ids = {make().create(ask(0.1)).id for _ in range(5)}
    assert len(ids) == 5
    assert all(len(i) == 25 and i[0] == "c" and i.isalnum() and i.islower() for i in ids)


def test_assets_are_kept_for_seven_days(make: Maker, clock: FakeClock) -> None:
    world = make()
    incoming = world.store.receive()
    incoming.write(b"abc")
    world.stored("api-assets/x/video.mp4", incoming)
    assert world.asset("api-assets/x/video.mp4") is not None
    clock.time += 7 * 86400
    assert world.asset("api-assets/x/video.mp4") is None


def test_time_never_goes_back(make: Maker, clock: FakeClock) -> None:
    world = make()
    project = world.create(ask())
    clock.time += 100
    assert world.project(project.id).settled
    clock.time -= 100
    assert project.status(world.now()) == "complete"


@pytest.mark.parametrize("bad", [{"tier": "gold"}, {"credits": -1}, {"fps": 0}, {"outputs": 0}, {"rate_limit": 0}])
def test_settings_that_cant_be_meant(bad: Any) -> None:
    with pytest.raises(SettingError):
        SandboxConfig(**bad)


FAULTS = [None, "render:error:x(refund=0.3)", "render:cancel", "render:cancel:0.5", "render:slow:50", "render:error"]
STEPS = st.one_of(
    st.tuples(st.just("create"), st.integers(1, 900), st.sampled_from(FAULTS), st.sampled_from(list(Mode))),
    st.tuples(st.just("wait"), st.floats(0, 40)),
    st.tuples(st.just("cancel"), st.integers(0, 20)),
    st.tuples(st.just("delete"), st.integers(0, 20)),
    st.tuples(st.just("credits"), st.integers(0, 5000)),
    st.tuples(st.just("restart")),
)


def take(world: World, clock: FakeClock, step: Any) -> None:
    match step:
        case ("create", tenths, fault, mode):
            with contextlib.suppress(Refusal):
                world.create(ask(tenths / 10, mode=mode), fault and Fault.parse(fault))
        case ("wait", seconds):
            clock.time += seconds
        case ("credits", credits):
            world.set_balance(credits)
        case (name, index) if world.projects():
            getattr(world, name)(world.projects()[index % len(world.projects())].id)


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_every_credit_is_accounted_for_and_a_restart_changes_nothing(steps: list[Any]) -> None:
    clock, config = FakeClock(), SandboxConfig(credits=2000, queue_seconds=1, render_seconds=5)
    with TemporaryDirectory() as directory:
        world = World(config, clock=clock, state_dir=Path(directory))
        for step in [*steps, ("restart",)]:
            if step == ("restart",):
                before = (world.balance(), world.granted, world.projects(), world.secret)
                world.close()
                world = World(config, clock=clock, state_dir=Path(directory))
                assert (world.balance(), world.granted, world.projects(), world.secret) == before
            take(world, clock, step)
            assert in_balance(world)
        world.close()
