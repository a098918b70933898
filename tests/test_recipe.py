"""Every recipe in the repository loads; every kind of mistake is refused with a message that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tessy.config.load import dump, load
from tessy.errors import UserError
from tessy.experiment import plan

ROOT = Path(__file__).parents[1]
MINI = ROOT / "recipes" / "mini.yaml"


@pytest.mark.parametrize(
    "path",
    # Sweep files run recipes and are none (tests/test_sweep.py).
    sorted(
        path for path in (ROOT / "recipes").rglob("*.yaml") if path.parent.name not in ("sweeps", "curation")
    ),
    ids=lambda path: path.name,
)
def test_every_recipe_loads_and_its_dump_means_the_same(path: Path, tmp_path: Path) -> None:
    recipe = load(path)
    (tmp_path / "dumped.yaml").write_text(dump(recipe))
    assert load(tmp_path / "dumped.yaml") == recipe


def test_overrides_reach_nested_fields_and_numbers_in_any_notation() -> None:
    recipe = load(MINI, ["train.learning_rate=5e-5", "train.seeds=[3]", "execution.tracking.wandb=disabled"])
    assert recipe.train.learning_rate == 5e-5
    assert recipe.train.seeds == [3]
    assert recipe.execution.tracking.wandb == "disabled"


@pytest.mark.parametrize(
    ("student", "teacher", "predictor", "beside"),
    [
        ("devices: ['0']", "devices: ['1,2']", "cuda", True),
        ("devices: ['0']", "devices: ['1,2']", "cuda:2", True),
        ("devices: ['0']", "devices: ['1,2']", "cuda:3", False),
        ("replicas: 1", "devices: ['1']", "cuda:0", True),
        ("endpoints: ['http://a']", "endpoints: ['http://b']", "cuda", False),
        ("endpoints: ['http://a']", "endpoints: ['http://127.0.0.1:8000']", "cuda", True),
    ],
)
def test_a_predictor_knows_whether_models_are_on_its_device(
    student: str, teacher: str, predictor: str, beside: bool
) -> None:
    engines = f"{{student: {{kind: server, {student}}}, teacher: {{kind: server, {teacher}}}}}"
    given = [f"execution.engines={engines}", f"execution.predictors.student.device={predictor}"]
    assert load(MINI, given).execution.beside_models("student") == beside


def test_fields_by_the_names_they_had_before_mean_the_same() -> None:
    before = ["engines.student.kind=embedded", "predictors.teacher.kind=embedded", "reach=64", "stride=2"]
    now = ["engines.student.kind=transformers", "predictors.teacher.kind=transformers"]
    now += ["max_continuation_tokens=64", "check_interval_tokens=2"]
    old, new = (load(MINI, [f"execution.{override}" for override in named]) for named in (before, now))
    assert old == new
    assert "reach" not in dump(old)
    assert "embedded" not in dump(old)


def test_a_real_teacher_says_how_hard_it_thinks_and_what_day_it_is() -> None:
    teacher = ["source=openai/gpt-oss-120b", "format=gpt_oss", "pretraining=null"]
    settings = ["gpt_oss.reasoning_effort=high", "gpt_oss.date=2025-08-05"]
    recipe = load(MINI, [f"models.teacher.{override}" for override in teacher + settings])
    reference = plan(recipe).stage("synthesize-tessy").config.models["teacher"]
    assert reference.plain["gpt_oss"] == {"reasoning_effort": "high", "date": "2025-08-05"}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.learning_rat=1", "did you mean 'learning_rate'"),
        ("trian.epochs=1", "did you mean 'train'"),
        ("world.exposur=0.1", "did you mean 'exposure'"),
        ("models.student.pretraining.layer=3", "did you mean 'layers'"),
        ("train.epochs=soon", "train.epochs: 'soon'"),
        ("train.epochs=0", "train.epochs: 0"),
        ("synthesis.chunk_tokens=0", "synthesis.chunk_tokens.student: 0"),
        ("synthesis.methods=[tessi]", "did you mean 'tessy'"),
        ("synthesis.methods=[{given: {name: x}}]", "`source` is missing; name a file"),
        ("synthesis={methods: [tessy], max_tokens: 9}", "synthesis.chunk_tokens: required, and missing"),
        ("synthesis.methods=[tessy,tessy]", "names one twice"),
        ("evaluate.benchmarks.0=x", "not a section"),
        ("train.epochs", "section.key=value"),
        ("name.x=1", "not a section"),
        ("train.max_length=10", "raise the one or lower the other"),
        ("predictors=null", "`predictors` is missing"),
        ("predictors.problems=1", "predictors.problems: 1"),
        ("predictors.patience=0", "predictors.patience: 0"),
        ("execution.predictors.student.dtype=float32", "`dtype` has no effect here"),
        ("world=null", "`world` is missing"),
        ("world.known=3", "world.known: 3 is not allowed: Input should be less than or equal to 1"),
        ("models.teacher.pretraining=null", "`pretraining` is required"),
        ("models.student.format=harmony", "student has qwen3's markers alone"),
        ("models.teacher.format=gpt_oss", "section `gpt_oss` is required"),
        ("models.teacher.gpt_oss={reasoning_effort: high, date: 2025-08-05}", "and only there"),
        ("models.teacher.format=deepseek_r1", "no markers of format 'deepseek_r1'"),
        ("evaluate.sampler.temperature=-1", "evaluate.sampler.temperature"),
        ("train.seeds=[1,1]", "names one twice"),
        ("synthesis.switch={kind: entropy, above: 3}", "entropy.above: 3 is not allowed"),
        ("synthesis.switch={kind: checkpoints, window_tokens: 200}", "checkpoints.student: required"),
        ("execution.predictors.student={kind: vllm}", "student.kind: 'vllm' is not allowed: a predictor's"),
        ("execution.predictors.student.device=gpu", "predictors.student.device: 'gpu' is not allowed"),
        ("execution.predictors.student={kind: server, device: cuda}", "name their `devices`"),
        ("execution.engines.student={kind: vllm, dtype: float32}", "has it in `arguments`"),
        (
            "execution.engines={student: {kind: server, endpoints: ['http://a:1/v1']}, "
            "teacher: {kind: server, endpoints: ['http://a:1/', 'http://b:1']}}",
            "both the student and the teacher are asked for model (any) at http://a:1",
        ),
        ("synthesis.switch={kind: margin}", "margin.below: required"),
        ("predictors.comparison.switches=[{kind: never}, {kind: never}]", "would call two of them 'never'"),
    ],
)
def test_a_mistake_is_refused_with_its_place_and_a_remedy(override: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        load(MINI, [override])
    assert said in str(error.value)


def test_a_copy_has_no_field_that_the_section_has_not() -> None:
    assert load(MINI).train.model_copy(update={"epochs": 7}).epochs == 7
    with pytest.raises(TypeError, match="Train has no field epoch"):
        load(MINI).train.model_copy(update={"epoch": 7})


def test_the_releases_windows_take_no_threshold() -> None:
    student = (
        "synthesis.switch={kind: checkpoints, student: {source: a, threshold: 0.4}, teacher: {source: b}}"
    )
    with pytest.raises(UserError, match="cut at a half, as the release does; remove `threshold`"):
        load(MINI, [student, "synthesis.compat={window: sliding}"])


def test_an_unknown_benchmark_names_the_known_ones(tmp_path: Path) -> None:
    text = MINI.read_text().replace("kind: ojbench", "kind: ojbensch")
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match="'ojbench'"):
        load(tmp_path / "r.yaml")


def test_a_missing_recipe_names_the_nearest() -> None:
    with pytest.raises(UserError, match="no such file"):
        load("recipes/minni.yaml")


@pytest.mark.parametrize(
    ("text", "said"), [("a: [", "not valid YAML"), ("- 1", "must map"), ("name: x", "required, and missing")]
)
def test_an_unusable_file_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        load(tmp_path / "r.yaml")


def test_a_recipe_is_its_base_with_its_own_values(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"base: {MINI}\ntrain: {{epochs: 7}}\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\npredictors: null\nsynthesis: {methods: [teacher_only]}\n")
    mini, own = load(MINI), load(tmp_path / "b.yaml", ["train.batch_size=8"])
    assert own.train == mini.train.model_copy(update={"epochs": 7, "batch_size": 8})
    assert (own.synthesis.methods, own.predictors, own.world) == (["teacher_only"], None, mini.world)


@pytest.mark.parametrize(
    ("base", "said"),
    [("gone.yaml", "gone.yaml, the base of .*r.yaml: no such file"), ("r.yaml", "break the circle")],
)
def test_a_base_that_leads_nowhere_is_refused(base: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"base: {base}\n")
    with pytest.raises(UserError, match=said):
        load(tmp_path / "r.yaml")
