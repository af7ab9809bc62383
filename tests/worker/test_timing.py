"""The timer over pipelines made up for the purpose, with a clock that moves when told to."""

from dataclasses import astuple
from types import SimpleNamespace

import pytest
import torch

from sdtui.worker import timing
from sdtui.worker.timing import PipelineTimer


class FakeClock:
    """A device that has come as far as ``device`` when it is asked, and is caught up with by waiting."""

    def __init__(self, lag=0.0):
        self.now = 0.0
        self.lag = lag
        self.waits = 0

    def restart(self):
        """Its marks are numbers: none is recorded again."""

    def mark(self):
        return self.now

    def reached(self, mark):
        return mark <= self.now - self.lag

    def between_ms(self, start, end):
        assert end <= self.now
        return end - start

    def wait(self):
        self.waits += 1


class Denoiser(torch.nn.Module):
    def forward(self, x):
        return x


class Pipe:
    """Spends 3 ms on text, 5 on preparing, what ``steps`` say on its loop, 7 on the VAE, 2 on the rest."""

    def __init__(self, clock, steps, loop):
        self.clock, self.steps, self.loop = clock, steps, loop
        self.unet = Denoiser()
        self.vae = SimpleNamespace(decode=self._decode, encode=lambda image: image)

    def encode_prompt(self, prompt):
        self.clock.now += 3
        return prompt

    def progress_bar(self, iterable=None, total=None):
        raise AssertionError("the timer's bar stands in")

    def step(self, ms, forwards=1):
        for _ in range(forwards):
            self.unet(torch.zeros(1))
        self.clock.now += ms

    def _decode(self, latents, return_dict=True):
        self.clock.now += 7
        return latents

    def __call__(self):
        self.encode_prompt("a cat")
        self.clock.now += 5
        self.loop(self)
        self.vae.decode(torch.ones(2), return_dict=False)
        self.clock.now += 2
        return "images"


def with_bar(pipe):
    with pipe.progress_bar(total=len(pipe.steps)) as bar:
        for step in pipe.steps:
            pipe.step(*step)
            bar.update()


def over_iterable(pipe):
    for step in pipe.progress_bar(pipe.steps):
        pipe.step(*step)


@pytest.fixture(autouse=True)
def _every_update_reports(monkeypatch):
    monkeypatch.setattr(timing, "REPORT_EVERY_S", 0.0)


def timed(steps, loop=with_bar, lag=0.0, calls=1):
    clock = FakeClock(lag)
    pipe = Pipe(clock, steps, loop)
    timer = PipelineTimer(pipe, "unet", clock)
    seen = []
    for _ in range(calls):
        seen.clear()
        result, timing_ = timer.time(pipe, seen.extend)
    assert result == "images"
    return seen, timing_, timer


STEPS = [(10, 2), (20, 1), (30, 0), (40, 5)]
REPORTED = [(1, 4, 10, 2), (2, 4, 20, 1), (3, 4, 30, 0), (4, 4, 40, 5)]


@pytest.mark.parametrize("loop", [with_bar, over_iterable])
@pytest.mark.parametrize("lag", [0, 1, 25, 60, 10_000])
@pytest.mark.parametrize("calls", [1, 3])
def test_n_steps_give_n_intervals_however_late_the_device_is(loop, lag, calls):
    seen, timing_, _ = timed(STEPS, loop, lag, calls)
    assert seen == REPORTED
    assert (timing_.steps, timing_.forwards, timing_.loop_ms) == (4, 8, 100)


@pytest.mark.parametrize("lag", [0, 10_000])
def test_a_calls_device_time_is_the_sum_of_its_parts(lag):
    _, timing_, _ = timed(STEPS, lag=lag)
    parts = (timing_.text_encoding_ms, timing_.denoising_ms, timing_.vae_ms, timing_.other_ms)
    assert parts == (3, 100, 7, 7)


def test_marks_are_reported_as_soon_as_the_device_is_seen_there():
    clock, seen = FakeClock(lag=15), []
    reported = []

    def loop(pipe):
        with pipe.progress_bar(total=3) as bar:
            for ms in (10, 20, 30):
                pipe.step(ms)
                bar.update()
                reported.append(len(seen))

    pipe = Pipe(clock, [], loop)
    PipelineTimer(pipe, "unet", clock).time(pipe, seen.extend)
    assert reported == [0, 1, 2]
    assert len(seen) == 3


def test_fast_steps_are_reported_several_at_a_time(monkeypatch):
    monkeypatch.setattr(timing, "REPORT_EVERY_S", 0.1)
    host = iter([5.0, 5.06, 5.09, 5.12, 5.2])
    monkeypatch.setattr(timing.time, "monotonic", lambda: next(host))
    seen, reported = [], []

    def loop(pipe):
        with pipe.progress_bar(total=5) as bar:
            for ms in (10, 20, 30, 40, 50):
                pipe.step(ms)
                bar.update()
                reported.append([ms for _, _, ms, _ in seen])

    clock = FakeClock()
    pipe = Pipe(clock, [], loop)
    PipelineTimer(pipe, "unet", clock).time(pipe, seen.extend)
    assert reported == [[10], [10], [10], [10, 20, 30, 40], [10, 20, 30, 40]]
    assert [(step, ms) for step, _, ms, _ in seen] == [(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)]


def test_nothing_waits_for_the_device_while_the_call_runs():
    clock = FakeClock(lag=10_000)
    waits = []

    def loop(pipe):
        with_bar(pipe)
        waits.append(clock.waits)

    pipe = Pipe(clock, STEPS, loop)
    PipelineTimer(pipe, "unet", clock).time(pipe, lambda _: None)
    assert waits == [1]  # before the call
    assert clock.waits == 2  # and after it


def test_evaluations_before_and_after_the_loop_belong_to_no_step():
    def loop(pipe):
        pipe.step(50, 3)
        with_bar(pipe)
        pipe.step(60, 4)

    seen, timing_, _ = timed(STEPS, loop)
    assert seen == REPORTED
    assert (timing_.forwards, timing_.loop_ms, timing_.other_ms) == (8, 100, 117)


def test_update_counts_as_tqdm_does():
    def loop(pipe):
        with pipe.progress_bar(total=4) as bar:
            pipe.step(10)
            bar.update(3)
            pipe.step(20)
            bar.update(0)
            pipe.step(30)
            bar.update(1)
            bar.set_postfix(loss=1)

    seen, timing_, _ = timed([], loop)
    assert seen == [(1, 4, 10, 1), (2, 4, 0, 0), (3, 4, 0, 0), (4, 4, 50, 2)]
    assert timing_.loop_ms == 60


@pytest.mark.parametrize("lag", [0, 25, 10_000])
def test_a_second_bar_goes_on_counting_and_what_lies_between_is_no_step(lag):
    def loop(pipe):
        with_bar(pipe)
        pipe.step(1000, 1)
        with_bar(pipe)

    seen, timing_, _ = timed([(10, 1), (20, 1)], loop, lag)
    assert seen[:2] in ([(1, 2, 10, 1), (2, 2, 20, 1)], [(1, 4, 10, 1), (2, 4, 20, 1)], [(1, 2, 10, 1), (2, 4, 20, 1)])
    assert seen[2:] == [(3, 4, 10, 1), (4, 4, 20, 1)]
    assert (timing_.steps, timing_.forwards, timing_.loop_ms) == (4, 4, 60)


def test_a_pipeline_without_a_bar_has_no_steps():
    seen, timing_, _ = timed([], lambda pipe: pipe.step(50))
    assert seen == []
    assert (timing_.steps, timing_.forwards, timing_.loop_ms, timing_.host_loop_ms) == (0, 0, 0, 0)
    assert timing_.other_ms == 57


def test_the_hosts_figures_are_the_hosts(monkeypatch):
    ticks = iter([0.0, 1.0, 3.5, 10.0])  # call, bar opened, bar closed, call done
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    _, timing_, _ = timed(STEPS)
    assert (timing_.host_loop_ms, timing_.wall_ms) == (2500, 10_000)


def test_what_went_into_the_decoder_is_kept():
    _, _, timer = timed(STEPS)
    assert torch.equal(timer.final_latents, torch.ones(2))


def test_an_exception_in_a_call_leaves_the_next_one_clean():
    clock = FakeClock()
    pipe = Pipe(clock, STEPS, with_bar)
    timer = PipelineTimer(pipe, "unet", clock)

    def failing(loop_pipe):
        with loop_pipe.progress_bar(total=9) as bar:
            loop_pipe.step(10)
            bar.update()
            raise ValueError

    pipe.loop = failing
    with pytest.raises(ValueError):  # noqa: PT011
        timer.time(pipe, lambda _: None)
    pipe.loop, seen = with_bar, []
    _, timing_ = timer.time(pipe, seen.extend)
    assert seen == REPORTED
    assert astuple(timing_)[:3] == (4, 8, 100)


def test_pipeline_without_vae_and_text_spends_nothing_on_them():
    clock = FakeClock()
    pipe = SimpleNamespace(unet=Denoiser(), progress_bar=None)
    timer = PipelineTimer(pipe, "unet", clock)

    def call():
        with pipe.progress_bar(total=1) as bar:
            pipe.unet(torch.zeros(1))
            clock.now += 4
            bar.update()

    _, timing_ = timer.time(call, lambda _: None)
    assert (timing_.text_encoding_ms, timing_.vae_ms, timing_.denoising_ms, timing_.other_ms) == (0, 0, 4, 0)
    assert timer.final_latents is None
