"""Near-duplicates by a model's vectors: what is found, that nothing is lost, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from curation_samples import PROBLEMS, problem, rows, write_jsonl
from jobs import job_at
from predictor_model import make_predictor
from safetensors.numpy import load_file, save_file

from tessy.artifacts import read_json, read_rows
from tessy.bench.curation.edits import EDITS
from tessy.config.curation import Duplicates, Embedding, HeldOut, Rules
from tessy.config.curation_recipe import CurationRecipe
from tessy.curate.embedding import Embedder
from tessy.curation_rules.signatures import boilerplate
from tessy.curation_rules.vectors import BLOCK, Comparison, said
from tessy.errors import UserError
from tessy.experiment import plan_curation
from tessy.layout import CURATION, HELD_OUT, LEFT_OUT_ROWS
from tessy.layout import PROBLEMS as TABLE
from tessy.runtime.job import Job, Source
from tessy.stages.curation import CurationStage, run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A decoder of noise: a word more changes a mean little, other problems are further away."""
    torch.set_num_threads(1)  # threads of a busy machine wait for each other longer than they compute
    return str(make_predictor(tmp_path_factory.mktemp("models") / "decoder"))


def stage(folder: Path, source: Path, embedding: dict[str, Any], **settings: Any) -> Job[CurationStage]:
    curation = {"sources": [{"source": str(source)}], "check_benchmarks": False, **settings}
    curation["duplicates"] = {"near": False, **settings.get("duplicates", {}), "embedding": embedding}
    (planned,) = plan_curation(CurationRecipe.model_validate({"name": "t", "curation": curation}))
    assert isinstance(planned.config, CurationStage)
    folder.mkdir(exist_ok=True)
    return job_at(folder, "curation", planned.config)


def pairs(count: int) -> list[dict[str, Any]]:
    """Problems, and each a second time with a word more."""
    return [
        {"id": f"{n}{more}", "prompt": problem(n).rstrip(".") + " indeed" * more}
        for n in range(count)
        for more in (0, 1)
    ]


def test_all_pairs_are_found_and_no_others() -> None:
    rng = np.random.default_rng(0)
    made = rng.normal(size=(2 * BLOCK + 700, 6))
    values = (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)
    whole = Comparison(np.arange(len(values)))
    shares = [whole.done]
    while whole.done < 1:
        whole.step(values, 0.995)
        shares.append(whole.done)
    assert len(shares) == 4
    assert shares == sorted(shares)
    near = values.astype(np.float32) @ values.astype(np.float32).T >= 0.995
    reached = np.arange(len(values))
    for _ in range(200):
        lowest = np.where(near, reached[None, :], len(values)).min(axis=1)
        if (lowest == reached).all():
            break
        reached = lowest
    assert len(set(zip(whole.labels.tolist(), reached.tolist(), strict=True))) == len(set(reached.tolist()))
    assert len(set(whole.labels.tolist())) == len(set(reached.tolist())) < len(values)


def test_instructions_around_a_problem_are_not_part_of_its_vector() -> None:
    settings = Duplicates()
    framed = [EDITS["between instructions"](problem(n), None) for n in range(300)]  # type: ignore[arg-type]
    common = boilerplate(framed, settings)
    text = said(framed[3], common, settings)
    assert "expert" not in text
    assert "alice writes the integers from one to n in a circle" in text
    assert said("step by step", common, settings) == "step by step"
    assert said(framed[3], common[:0], settings).startswith("you are an expert")


def test_vectors_leave_out_what_is_near_and_say_which_row_stands_for_it(model: str, tmp_path: Path) -> None:
    source = write_jsonl(
        tmp_path / "p.jsonl", [*pairs(10), {"prompt": PROBLEMS[0].upper()}, "{", {"prompt": ""}]
    )
    embedding = {"model": model, "threshold": 0.99, "max_tokens": 64}
    job = stage(tmp_path / "a", source, embedding, duplicates={"keep": "first"})
    run(job)
    gone = {row["origin"]: (row["rule"], row["evidence"]) for row in read_rows(job.out / LEFT_OUT_ROWS)}
    found = [origin for origin, (rule, _) in gone.items() if rule == "near_embedding"]
    assert found == [f"p.jsonl:{n}" for n in range(2, 21, 2)]
    assert gone["p.jsonl:2"][1].startswith("p.jsonl:1 stands for it, cosine 0.99")
    assert gone["p.jsonl:21"] == ("same_text", "p.jsonl:1 stands for it, similarity 1.00")
    assert len(gone) + len(read_rows(job.out / TABLE)) == 23
    steps = {step["rule"]: step for step in read_json(job.out / CURATION)["funnel"]}
    assert steps["near_embedding"]["removed"] == len(found)
    assert "duplicates.embedding.threshold" in steps["near_embedding"]["remedy"]


def test_what_is_near_is_on_one_side_of_the_split(model: str, tmp_path: Path) -> None:
    """Even if only a chain connects it, and several rows of a cluster stay."""
    source = write_jsonl(tmp_path / "p.jsonl", rows(300))
    embedding = {"model": model, "threshold": 0.92, "max_tokens": 64}
    job = stage(tmp_path / "a", source, embedding, held_out={"share": 0.3})
    run(job)
    held, kept = read_rows(job.out / HELD_OUT), read_rows(job.out / TABLE)
    embedder = Embedder(Source(model, None), Embedding(**embedding))
    settings = job.config.curation.duplicates
    common = np.load(job.work / "common.npy")
    one, other = (
        embedder.of([said(row["prompt"], common, settings) for row in side]).astype(np.float32)
        for side in (held, kept)
    )
    assert len(held) > 10
    assert (one @ other.T).max() < 0.92
    assert not {row["cluster"] for row in held} & {row["cluster"] for row in kept}
    Rules(duplicates=settings, held_out=HeldOut(share=0.1))


def test_a_killed_pass_goes_on_and_ends_with_the_same(model: str, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", rows(600))
    embedding = {"model": model, "threshold": 0.9999, "max_tokens": 32}
    job = stage(tmp_path / "a", source, embedding)
    run(job)
    vectors = (job.work / "vectors.f16").read_bytes()
    before = {path.name: read_rows(path) for path in job.out.glob("*.parquet")}
    (job.work / "vectors.f16").write_bytes(vectors[: len(vectors) // 2 + 33])
    (job.work / "compared.npz").unlink()
    run(job)
    assert (job.work / "vectors.f16").read_bytes() == vectors
    assert {path.name: read_rows(path) for path in job.out.glob("*.parquet")} == before
    run(job)
    assert {path.name: read_rows(path) for path in job.out.glob("*.parquet")} == before


def test_long_texts_are_read_in_pieces_and_batches_change_nothing(model: str) -> None:
    texts = [problem(n) + " " + problem(n + 1) for n in range(20)]
    settings = Embedding(model=model, max_tokens=48, batch=1)
    one = Embedder(Source(model, None), settings).of(texts)
    other = Embedder(Source(model, None), settings.model_copy(update={"batch": 7})).of(texts)
    assert np.allclose(one.astype(float), other.astype(float), atol=2e-3)
    assert np.allclose(np.linalg.norm(one.astype(float), axis=1), 1, atol=2e-3)
    changed = Embedder(Source(model, None), settings).of([texts[0] + " its very end is different"])
    assert not np.allclose(one[0].astype(float), changed[0].astype(float), atol=2e-3), "the end counts, too"


def test_a_model_that_cannot_be_used_is_named_before_any_row_is_read(model: str, tmp_path: Path) -> None:
    source = write_jsonl(tmp_path / "p.jsonl", rows(3))

    def refused(embedding: dict[str, Any], said: str) -> None:
        job = stage(tmp_path / "a", source, embedding)
        with pytest.raises(UserError, match=said):
            run(job)
        assert not (job.work / "shards").exists()

    whole = Path(model)
    refused({"model": model, "max_tokens": 65}, r"embedding.max_tokens 65: it reads 64; lower it")
    cut = tmp_path / "cut"
    cut.mkdir()
    for file in whole.iterdir():
        if file.suffix != ".safetensors":
            (cut / file.name).write_bytes(file.read_bytes())
    refused(
        {"model": str(cut)}, r"embedding.model '.*cut': it cannot be loaded: .*; name a checkpoint folder"
    )
    deep = tmp_path / "deep"
    deep.mkdir()
    for file in whole.iterdir():
        (deep / file.name).write_bytes(file.read_bytes())
    weights = load_file(deep / "model.safetensors")
    save_file(
        {name: value for name, value in weights.items() if ".0." not in name}, deep / "model.safetensors"
    )
    refused({"model": str(deep), "max_tokens": 64}, r"\d+ of its weights are missing, layers\.0\.")
    (deep / "1_Pooling").mkdir()
    (deep / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    refused({"model": str(deep), "max_tokens": 64}, r"its vectors are no means \(pooling_mode_cls_token")
    nowhere = stage(tmp_path / "a", source, {"model": "./nowhere"})
    (fault,) = nowhere.config.faults(nowhere.execution)
    assert "duplicates.embedding.model './nowhere': no checkpoint there" in fault
