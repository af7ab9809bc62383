"""Two tools, each beside the stopwatch of its own calls."""

import subprocess
import sys

import peer_optimum as program


def told(stopwatch_s, **more):
    return {"stopwatch": [{"evaluations": 4, "loop_s": loop_s} for loop_s in stopwatch_s], **more}


def test_each_tool_is_held_against_its_own_stopwatch():
    sdtui = told([1.0, 2.0], steps=6, evaluations=8, total_s=3.003, loop_s=[1.001, 2.004])
    peer = told([2.0, 4.0], per_step=[4.0, 5.0, 3.0], call=[])
    lines = program.table(2, 3, sdtui, peer).splitlines()
    assert lines[2:7] == [
        "| known | 6 | 8 | – | – |",
        "| sdtui | 6 | 8 | 3.003 | 1.0010 |",
        "| a stopwatch in the process of sdtui's worker | – | 8 | 3.000 | 1 |",
        "| optimum-benchmark | 3 samples | – | 12.000 | 2.0000 |",
        "| a stopwatch in optimum-benchmark's process | – | 8 | 6.000 | 1 |",
    ]
    assert "at most 0.20% apart" in lines[-1]


def test_the_stopwatch_parts_calls_by_their_decoding():
    watched = [("denoiser", 1.0, 2.0), ("scheduler", 2.0, 2.5), ("vae", 3, 4)]
    watched += [("denoiser", 5.0, 6.0), ("scheduler", 6.0, 6.5), ("denoiser", 6.5, 7.0), ("scheduler", 7.0, 9.0)]
    watched += [("vae", 9, 10)]
    names = {"watched": watched}
    exec(program.STOPWATCH[program.STOPWATCH.index("def stopwatch") :], names)
    second = {"evaluations": 2, "loop_s": 4.0}
    assert names["stopwatch"](1) == [second]
    assert names["stopwatch"](2) == [{"evaluations": 1, "loop_s": 1.5}, second]


def test_only_workers_start_with_the_stopwatch(tmp_path):
    wrapper = program._with_stopwatch(sys.executable, tmp_path, 3)
    said = subprocess.check_output([wrapper, "-c", "import sys; print(sys.argv)", "a b"], text=True)
    assert said == "['-c', 'a b']\n"
    (tmp_path / "worker.py").write_text("import sys; print(sys.argv[1:])")
    said = subprocess.check_output([wrapper, "-u", "-m", "sdtui.worker", "7", "8"], text=True)
    assert said == f"{['7', '8', str(tmp_path / 'stopwatch.json'), '3']}\n"
