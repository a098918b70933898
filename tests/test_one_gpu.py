"""The recipes for one GPU: what their headers say works, and each runs whole with tiny sizes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tessy.artifacts import read_json, read_rows
from tessy.config.load import load
from tessy.config.methods import TITLES
from tessy.engines.devices import devices_named
from tessy.engines.placing import placing
from tessy.errors import UserError
from tessy.estimate import describe, require_fit, training_tokens
from tessy.experiment import plan
from tessy.layout import TRAJECTORIES

ROOT = Path(__file__).parents[1]
ONE_GPU = sorted((ROOT / "recipes" / "one-gpu").glob("*.yaml"))
PAPER = sorted((ROOT / "recipes" / "paper").glob("*.yaml"))
OF_HUB_MODELS = [path for path in (*ONE_GPU, *PAPER) if not load(path).synthesis.given]


def commands(path: Path) -> Iterator[list[str]]:
    """The arguments of every `tessy run` and `tessy plan` in a recipe's header."""
    for line in path.read_text().splitlines():
        if found := re.match(r"#\s+tessy (?:run|plan)\s+(.*?)(?:\s+# .*)?$", line):
            yield shlex.split(found[1])


@pytest.mark.parametrize("path", ONE_GPU, ids=lambda path: path.stem)
def test_a_header_s_commands_are_plans_that_need_no_network(path: Path) -> None:
    named = list(commands(path))
    assert len(named) >= 3
    for recipe, *overrides in named:
        planned = load(ROOT / recipe, [text for text in overrides if "=" in text])
        require_fit(planned)
        assert "train-tessy-seed0" in [stage.name for stage in plan(planned)]
    assert any("name=" in text for arguments in named for text in arguments), "no first try"


@pytest.mark.parametrize("path", ONE_GPU, ids=lambda path: path.stem)
def test_a_plan_says_what_training_takes(path: Path) -> None:
    recipe = load(path)
    said = describe(recipe, training_tokens(recipe))
    assert "GiB per device" in said
    assert "hours on 1 devices" in said


def test_half_written_traces_fit_the_cache_as_the_header_of_24_gb_says() -> None:
    """1,500 traces of 6,000 tokens, half of one written at a time, with a prompt of 1,000."""
    recipe = load(ROOT / "recipes" / "one-gpu" / "lora-24gb.yaml")
    devices = devices_named(recipe)
    assert devices is not None
    placed = placing(recipe, devices)
    student = placed.tenants[0]
    tokens = placed.shares["engines.student"] / (2 * student.shape.cached(1))
    assert tokens == pytest.approx(75_000, rel=0.01)
    assert tokens > recipe.execution.concurrency * (6_000 / 2 + 1_000)
    hours = 1_500 * 6_000 / (recipe.execution.concurrency / 0.030) / 3600
    assert hours == pytest.approx(5, abs=0.5)
    responses = 850 * 8_000 / (recipe.execution.concurrency / 0.014) / 3600
    assert responses == pytest.approx(1.6, abs=0.1)


def test_all_weights_of_4b_fit_only_with_states_of_8_bits() -> None:
    full = ROOT / "recipes" / "one-gpu" / "full-80gb.yaml"
    require_fit(load(full))
    with pytest.raises(UserError, match="GiB per device"):
        require_fit(load(full, ["train.optimizer=adamw"]))


def test_what_is_not_installed_is_said_before_anything_runs() -> None:
    recipe = load(ROOT / "recipes" / "one-gpu" / "full-80gb.yaml")
    said = list(plan(recipe).stage("train-tessy-seed0").config.faults(recipe.execution))
    for package, name in (("liger_kernel", "liger-kernel"), ("bitsandbytes", "bitsandbytes")):
        missing = find_spec(package) is None
        assert any(f"{name} is not installed: pip install -e '.[gpu]'" in text for text in said) == missing


def test_adapters_under_zero_3_recompute_whole_layers() -> None:
    lora = ROOT / "recipes" / "paper" / "lora.yaml"
    with pytest.raises(UserError, match="does not go with adapters under ZeRO-3; use 'layers'"):
        load(lora, ["execution.train.recompute=all_but_attention"])


def test_a_recipe_of_the_miniature_is_not_cut_short(tmp_path: Path) -> None:
    from tessy.standins.recipe import cut_short

    with pytest.raises(UserError, match="is of the miniature"):
        cut_short(load(ROOT / "recipes" / "smoke.yaml"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", OF_HUB_MODELS, ids=lambda path: path.stem)
def test_cut_short_a_recipe_has_the_same_stages(path: Path, tmp_path: Path) -> None:
    from tessy.standins.recipe import cut_short

    recipe = load(path)
    tiny = cut_short(recipe, tmp_path)
    whole, short = ({stage.name: stage.kind.name for stage in plan(one)} for one in (recipe, tiny))
    epochs = re.compile(r"-epoch[2-9]$")
    assert short == {name: kind for name, kind in whole.items() if not epochs.search(name)}
    assert cut_short(recipe, tmp_path) == tiny
    assert tiny.train.method == recipe.train.method


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all, as of a user: recipes of one name share what they have in common."""
    return tmp_path_factory.mktemp("runs")


@pytest.mark.slow
@pytest.mark.parametrize("path", ONE_GPU, ids=lambda path: path.stem)
def test_a_recipe_runs_whole_with_tiny_sizes(path: Path, runs: Path) -> None:
    command = [sys.executable, "-P", "-m", "tessy.cli", "run", str(path), "--sizes", "tiny"]
    command += ["execution.tracking.wandb=disabled", "--runs-dir", str(runs)]
    # The other method is the same in all, and one recipe has it.
    methods = ["teacher_only", "tessy"] if path.stem == "lora-80gb" else ["tessy"]
    command += [f"synthesis.methods=[{','.join(methods)}]"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = runs / f"{load(path).name}-tiny"
    results = read_json(folder / "report" / "results.json")
    tested = {(row["method"], row["benchmark"]) for row in results["rows"]}
    names = [benchmark.name for benchmark in load(path).evaluate.benchmarks]
    titles = ["Student", *(TITLES[method] for method in methods)]
    assert tested == {(title, name) for title in titles for name in names}
    for made in folder.glob(f"synthesize-tessy-*/{TRAJECTORIES}"):
        finished = [row for row in read_rows(made) if row["stop_reason"] == "finished"]
        assert len(finished) >= 2
        assert {span["author"] for row in finished for span in row["spans"]} == {"student", "teacher"}
