"""MinHash of `datatrove` with its defaults on the rows of `tessy bench curation volume`, by another Python:

    PYTHON beside_datatrove.py ROWS.jsonl FOLDER

Prints one JSON object: its version, seconds by clock and of the processor by step, and the peak memory of its
largest process. FOLDER gets `labels.json`, each row's cluster.
Knows nothing of this project, which its interpreter need not have.
"""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any


def main(rows: Path, folder: Path) -> None:
    """Every step in this process or its children, one after another."""
    from datatrove.executor.local import LocalPipelineExecutor
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import (
        MinhashConfig,
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
    )
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    shutil.rmtree(folder, ignore_errors=True)
    config, seconds = MinhashConfig(), {}
    made = {name: str(folder / name) for name in ("signatures", "buckets", "clusters", "kept", "removed")}

    def reader() -> Any:
        return JsonlReader(str(rows.parent), glob_pattern=rows.name, text_key="prompt", id_key="id")

    steps: dict[str, tuple[list[Any], int]] = {
        "signatures": (
            [reader(), MinhashDedupSignature(made["signatures"], config=config)],
            1,
        ),
        "buckets": (
            [MinhashDedupBuckets(made["signatures"], made["buckets"], config=config)],
            config.num_buckets,
        ),
        "clusters": (
            [MinhashDedupCluster(made["buckets"], made["clusters"], config=config, save_cluster_id=True)],
            1,
        ),
        "what stays": (
            [
                reader(),
                MinhashDedupFilter(
                    made["clusters"],
                    exclusion_writer=JsonlWriter(made["removed"], compression=None),
                    load_cluster_ids=True,
                ),
                JsonlWriter(made["kept"], compression=None),
            ],
            1,
        ),
    }
    for name, (pipeline, tasks) in steps.items():
        before, started = _processor(), time.perf_counter()
        LocalPipelineExecutor(pipeline, tasks=tasks, logging_dir=str(folder / "logs" / name)).run()
        seconds[name] = {
            "clock": round(time.perf_counter() - started, 1),
            "processor": round(_processor() - before, 1),
        }
    memory = max(one.ru_maxrss for one in _used()) // 1024
    labels: dict[int, int] = {}
    for written in [*folder.glob("kept/*.jsonl"), *folder.glob("removed/*.jsonl")]:
        for line in written.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            # It writes no id where that is 0.
            labels[int(row.get("id", 0))] = int(row.get("metadata", {}).get("minhash_cluster_id", -1))
    # A row that is in no cluster is one of its own.
    found = [labels[row] if labels[row] >= 0 else -1 - row for row in range(len(labels))]
    (folder / "labels.json").write_text(json.dumps(found))
    print(json.dumps({"version": version("datatrove"), "seconds": seconds, "memory_mib": memory}))


def _used() -> list[resource.struct_rusage]:
    return [resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]


def _processor() -> float:
    return sum(one.ru_utime + one.ru_stime for one in _used())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
