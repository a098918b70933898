"""Whatever lies on disk, a loader reads it or raises a ValueError that names the file."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from problem_files import CONFIG, SIMPLE, TEST, dmoj, lightcp, livecodebench, packed

from eval.judge.formats import FORMATS


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), seed=st.integers(0, 10_000), value=st.integers(0, 255))
def test_broken_files_never_crash_a_loader(tmp_path: Path, data: bytes, seed: int, value: int) -> None:
    dmoj(tmp_path, SIMPLE)
    lightcp(tmp_path, CONFIG)
    for path in (tmp_path / "ICPC" / "p" / "a.zip", tmp_path / "p.zip"):
        whole = bytearray(path.read_bytes())
        whole[seed % len(whole)] = value
        path.write_bytes(whole)
    for name, place in (("dmoj", "p"), ("lightcp", "p")):
        try:
            problem = FORMATS[name].load(place, FORMATS[name].find(tmp_path)[place])
            for case in problem.cases:
                case.input.read()
        except ValueError:
            pass
    (tmp_path / "ICPC" / "p" / "init.yml").write_bytes(data)
    (tmp_path / "test.jsonl").write_bytes(b'{"question_id": "p", "public_test_cases": "' + data + b'"}')
    for name in ("dmoj", "lcb"):
        try:
            for problem_id, place in FORMATS[name].find(tmp_path).items():
                FORMATS[name].load(problem_id, place)
        except ValueError:
            pass


WORDS = (
    "archive test_cases in out batched checker args name dependencies points interactive files "
    "pretest_test_cases wall_time_factor output_limit_length subtasks n_cases cases input output time "
    "memory_limit type input_prefix precision input_format"
)
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["1.in", "1.out", "a.zip", "floats", "bridged", "sorted", "interactive", "1s", "(", ".."]
    ),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(config=st.dictionaries(KEYS, DATA, max_size=6))
def test_odd_configurations_are_read_or_refused(tmp_path: Path, config: dict[str, object]) -> None:
    """JSON is YAML, but for what JSON has no words for."""
    for load, base in ((dmoj, {"archive": "a.zip"}), (lightcp, {"subtasks": [{"n_cases": 1}]})):
        try:
            assert load(tmp_path, json.dumps(base | config)).cases
        except ValueError as error:
            if str(tmp_path) not in str(error):
                raise


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tests=st.one_of(DATA, st.lists(st.dictionaries(st.sampled_from([*TEST]), SCALARS))), hidden=st.booleans()
)
def test_odd_tests_of_livecodebench_are_read_or_refused(tmp_path: Path, tests: object, hidden: bool) -> None:
    text = packed(json.dumps(tests)) if hidden else json.dumps(tests)
    try:
        assert livecodebench(tmp_path, public_test_cases="[]", private_test_cases=text).cases
    except ValueError as error:
        if "problem p" not in str(error):
            raise
