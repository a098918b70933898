"""Reading along: the same labels however the text arrives, and every token read once or twice."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jobs import job_at

from tessy.artifacts import read_json, write_json
from tessy.boundary.operating_point import OperatingPoint, write_operating_point
from tessy.boundary.windows import window_start
from tessy.errors import UserError
from tests.predictor_model import DEVICE, TEXT, make_predictor, text_of

pytestmark = pytest.mark.slow

WINDOW = 16
CLOSE = 1e-9 if DEVICE == "cpu" else 1e-5
"""transformers works out norms and rotary angles in float32 whatever the model's precision, and a GPU rounds
those otherwise than the CPU it is held against."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_predictor(tmp_path_factory.mktemp("predictor"))


def predictor(checkpoint: Path, slots: int = 8) -> Any:
    from tessy.boundary.predictor import BoundaryPredictor

    return BoundaryPredictor(str(checkpoint), "student", WINDOW, slots=slots, device=DEVICE)


def reference(checkpoint: Path, p: Any, text: str) -> list[tuple[int, float]]:
    """Plain transformers, one window per position, exactly as `window_start` says."""
    import torch
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(checkpoint, dtype=torch.float64).eval()
    encoded = p.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
    out = []
    for i in range(1, len(encoded.ids)):
        window = encoded.ids[window_start(i - 1, WINDOW) : i]
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([window])).logits[0, -1]
        out.append((encoded.offsets[i][0], float(logits.softmax(-1)[1])))
    return out


@pytest.mark.parametrize("seed", range(4))
def test_a_whole_text_is_judged_as_plain_transformers_judges_every_window(
    checkpoint: Path, seed: int
) -> None:
    p, text = predictor(checkpoint), text_of(seed, 60)
    found, expected = p.style_probabilities(text), reference(checkpoint, p, text)
    assert [offset for offset, _ in found] == [offset for offset, _ in expected]
    assert [style for _, style in found] == pytest.approx([style for _, style in expected], abs=CLOSE)


def test_a_decoder_that_names_no_head_size_is_judged_as_plain_transformers_judges_it(tmp_path: Path) -> None:
    folder = make_predictor(tmp_path, family="qwen2")
    p, text = predictor(folder), text_of(1, 40)
    found, expected = p.style_probabilities(text), reference(folder, p, text)
    assert [style for _, style in found] == pytest.approx([style for _, style in expected], abs=CLOSE)
    assert len({round(style, 2) for _, style in found}) > 5


def test_labels_do_not_depend_on_chunks_rollbacks_or_company(checkpoint: Path) -> None:
    """Texts arrive word by word or in lumps, with detours that are rolled back and stretches nobody asks
    about (the other author's): what is said of a stretch is always the same."""
    texts = {f"s{seed}": text_of(seed, 50) for seed in range(6)}
    whole = {s: dict(predictor(checkpoint).style_probabilities(text)) for s, text in texts.items()}

    async def read_along(p: Any, sample: str, rng: random.Random) -> None:
        text, at = texts[sample], 0
        ends = [i for i in range(1, len(text)) if text[i].isspace() and not text[i - 1].isspace()] + [
            len(text)
        ]
        while at < len(text):
            later = [end for end in ends if end > at]
            end = later[min(rng.randrange(6), len(later) - 1)]
            if rng.random() < 0.3:
                await p.foreign(sample, text[:at], " a detour ( 1 )")
            if rng.random() < 0.7:
                for offset, foreign in await p.foreign(sample, text[:at], text[at:end]):
                    if at + offset in whole[sample]:
                        assert foreign == (whole[sample][at + offset] <= 0.5), (sample, at, offset)
            at = end
        p.release(sample)

    async def all_of_them() -> None:
        p = predictor(checkpoint)
        await asyncio.gather(*(read_along(p, s, random.Random(s)) for s in texts))

    asyncio.run(all_of_them())


def test_a_token_is_read_at_most_about_twice(checkpoint: Path) -> None:
    p, text = predictor(checkpoint), text_of(9, 400)

    async def word_by_word() -> None:
        words = text.split(" ")
        for count in range(1, len(words)):
            await p.foreign("s", " ".join(words[:count]), " " + words[count])

    asyncio.run(word_by_word())
    tokens = len(p.tokenizer.backend_tokenizer.encode(text).ids)
    assert p.tokens_read < 3 * tokens


def test_what_was_judged_is_not_read_again(checkpoint: Path) -> None:
    """Asked again, a label is what it was: it was decided once."""
    p, text = predictor(checkpoint), text_of(9, 100)
    first = asyncio.run(p.foreign("s", text[:200], text[200:]))
    read = p.tokens_read
    assert asyncio.run(p.foreign("s", text[:200], text[200:])) == first
    assert p.tokens_read == read


def test_more_traces_than_slots_is_a_fault_and_released_slots_are_used_again(checkpoint: Path) -> None:
    async def many() -> None:
        p = predictor(checkpoint, slots=2)
        for i in range(5):
            await p.foreign(f"s{i}", "", "okay then")
            p.release(f"s{i}")
        await p.foreign("a", "", "x")
        await p.foreign("b", "", "x")
        with pytest.raises(RuntimeError, match="more live traces"):
            await p.foreign("c", "", "x")

    asyncio.run(many())


def test_a_question_that_was_given_up_is_not_answered(checkpoint: Path) -> None:
    async def scenario() -> Any:
        p = predictor(checkpoint, slots=1)
        given_up = [asyncio.create_task(p.foreign(name, "", TEXT)) for name in ("s", "gone")]
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        return await p.foreign("s", "", TEXT)

    assert asyncio.run(scenario()) == asyncio.run(predictor(checkpoint).foreign("s", "", TEXT))


def test_the_threshold_beside_the_weights_decides(checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    scored = predictor(folder).style_probabilities(TEXT)
    threshold = sorted(style for _, style in scored)[len(scored) // 4]
    write_operating_point(folder, OperatingPoint(threshold, WINDOW))
    labels = asyncio.run(predictor(folder).foreign("s", "", TEXT))
    assert labels == [(offset, style <= threshold) for offset, style in scored]
    assert len({foreign for _, foreign in labels}) == 2


def test_a_window_longer_than_the_model_is_refused(checkpoint: Path) -> None:
    from tessy.boundary.predictor import BoundaryPredictor

    with pytest.raises(UserError, match=r"window_tokens 65: predictor .* holds 64 tokens; lower it"):
        BoundaryPredictor(str(checkpoint), "student", 65)


def test_a_model_without_a_trained_head_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = shutil.copytree(checkpoint, tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(folder)
    with pytest.raises(UserError, match="Qwen3ForCausalLM is no token classifier on a causal decoder"):
        predictor(folder)


def test_a_model_that_sees_what_comes_after_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="BertForTokenClassification is no token classifier on a causal"):
        predictor(make_predictor(tmp_path, family="bert"))


def test_a_device_that_is_not_there_is_named_before_a_model_loads(tmp_path: Path) -> None:
    from tessy.boundary.predictor import BoundaryPredictor
    from tessy.config.load import load
    from tessy.experiment import plan
    from tessy.runtime.preflight import preflight

    named = r"execution\.predictors: device 'cuda:99': PyTorch .* finds \d+ CUDA devices"
    mini = Path(__file__).parents[1] / "recipes" / "mini.yaml"
    with pytest.raises(UserError, match=named):
        preflight(plan(load(mini, ["execution.predictors.teacher.device=cuda:99"])), tmp_path)
    with pytest.raises(UserError, match=named):
        BoundaryPredictor("nothing/here", "student", WINDOW, device="cuda:99")


def test_predictors_that_cannot_be_used_are_all_named_before_anything_starts(
    checkpoint: Path, tmp_path: Path
) -> None:
    from tessy.config.load import load
    from tessy.experiment import plan
    from tessy.runtime.preflight import preflight

    three = make_predictor(tmp_path / "three", labels=3)
    both = f"student: {{source: {three}}}, teacher: {{source: {checkpoint}}}"
    mini = Path(__file__).parents[1] / "recipes" / "mini.yaml"
    changes = [
        f"synthesis.switch={{kind: checkpoints, window_tokens: 65, {both}}}",
        f"predictors.base={{source: {tmp_path}/none}}",
    ]
    with pytest.raises(UserError) as caught:
        preflight(plan(load(mini, changes)), tmp_path)
    said = str(caught.value)
    assert f"predictor {three}: 3 labels; a boundary predictor has 2" in said
    assert f"window_tokens 65: predictor {checkpoint} holds 64 tokens" in said
    assert f"predictors.base.source '{tmp_path}/none': no checkpoint there" in said


def test_labels_the_other_way_round_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"id2label": {"0": "capability", "1": "style"}})
    assert predictor(folder)
    write_json(folder / "config.json", config | {"id2label": {"0": "STYLE", "1": "CAPABILITY"}})
    with pytest.raises(UserError, match=r"labels are 0 style, 1 capability; .* the other way round"):
        predictor(folder)


def test_a_tokenizer_without_offsets_is_refused(checkpoint: Path) -> None:
    from transformers import AutoConfig

    from tessy.boundary.predictor import check_classifier

    config = AutoConfig.from_pretrained(checkpoint)
    with pytest.raises(UserError, match="gives no offsets; convert it to a fast tokenizer"):
        check_classifier(str(checkpoint), config, SimpleNamespace(is_fast=False), WINDOW)


def switching(folder: Path, sliding: bool = False, **switch: Any) -> Any:
    """Published predictors as a stage uses them that has nothing else to go by."""
    from tessy.config.switches import CheckpointsSwitch
    from tessy.generation.switching import Switching
    from tessy.runtime.stage import StageConfig

    named = CheckpointsSwitch(kind="checkpoints", **switch)
    return Switching(job_at(folder, "s", StageConfig()), named, sliding=sliding)


def test_published_predictors_are_used_as_they_are(checkpoint: Path, tmp_path: Path) -> None:
    named = {"source": str(checkpoint)}
    used = switching(tmp_path, student=named, teacher=named, window_tokens=WINDOW)
    for role, foreign in (("student", False), ("teacher", True)):
        labels = asyncio.run(used.open(role, 1).foreign("s", "", TEXT))
        expected = predictor(checkpoint).style_probabilities(TEXT)
        assert labels == [(offset, (style > 0.5) == foreign) for offset, style in expected]


def test_a_published_predictor_is_used_as_its_own_file_says_and_the_recipe_has_the_last_word(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "model")
    write_operating_point(folder, OperatingPoint(0.3, WINDOW))
    named = {"source": str(folder)}
    used = switching(tmp_path, student=named, teacher={**named, "threshold": 0.6})
    expected = predictor(checkpoint).style_probabilities(TEXT)
    for role, threshold, foreign in (("student", 0.3, False), ("teacher", 0.6, True)):
        labels = asyncio.run(used.open(role, 1).foreign("s", "", TEXT))
        assert labels == [(offset, (style > threshold) == foreign) for offset, style in expected]
    (on_record,) = used.job.used.predictors.values()
    assert on_record == {
        "student": OperatingPoint(0.3, WINDOW),
        "teacher": OperatingPoint(0.6, WINDOW),
    }


def last_tokens(checkpoint: Path, tokenizer: Any, context: str, chunk: str) -> list[tuple[int, bool]]:
    """(offset in `chunk`, is it style) by plain transformers, from the last tokens of both together."""
    import torch
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    encoded = tokenizer.backend_tokenizer.encode(context + chunk, add_special_tokens=False)
    with torch.inference_mode():
        style = model(input_ids=torch.tensor([encoded.ids[-WINDOW:]])).logits[0].argmax(-1).tolist()
    # A label speaks of the token that comes next.
    starts = [start - len(context) for start, _ in encoded.offsets][-WINDOW:]
    return [(at, label == 1) for at, label in zip(starts[1:], style[:-1], strict=True) if at >= 0]


def test_the_releases_windows_are_the_last_tokens_of_context_and_chunk(
    checkpoint: Path, tmp_path: Path
) -> None:
    from tessy.engines.turns import Turns

    named = {"source": str(checkpoint)}
    pairs = [("", TEXT), (text_of(1, 40), " so x = 2"), (text_of(2, 4), text_of(3, 40)), ("okay", " then")]

    async def judge(role: Any, sliding: bool) -> Any:
        used = switching(tmp_path, sliding, student=named, teacher=named, window_tokens=WINDOW)
        async with used.watching(role, 1, Turns(), {}) as found:
            alone = [await found.foreign("s", *pair) for pair in pairs]
            assert not hasattr(found, "judge") or found.judge(pairs) == alone
            return found, alone

    for role, foreign in (("student", False), ("teacher", True)):
        found, labels = asyncio.run(judge(role, sliding=True))
        expected = [last_tokens(checkpoint, found.tokenizer, *pair) for pair in pairs]
        assert labels == [[(at, style == foreign) for at, style in one] for one in expected]
        assert labels != asyncio.run(judge(role, sliding=False))[1]
