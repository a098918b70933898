"""Reads prefix cache statistics from a vLLM server's metrics.

Not covered: everything else it counts; a run's own counters are `tessy.synthesis.meters`.
"""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tessy.engines import EngineStats


async def scrape(session: aiohttp.ClientSession, url: str) -> EngineStats:
    """The counts at `url`/metrics; all unknown where there are no such metrics."""
    try:
        async with session.get(f"{url}/metrics", timeout=aiohttp.ClientTimeout(5)) as response:
            return read(await response.text() if response.status == 200 else "")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return EngineStats()


def read(text: str) -> EngineStats:
    """Counts of all engines of one server, in Prometheus's text format."""
    queries = hits = held = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "vllm:prefix_cache_queries_total":
                queries += sample.value
            elif sample.name == "vllm:prefix_cache_hits_total":
                hits += sample.value
            elif sample.name == "vllm:cache_config_info":
                blocks, size = sample.labels.get("num_gpu_blocks"), sample.labels.get("block_size")
                held += int(blocks) * int(size) if blocks and size and blocks.isdigit() else 0
    return EngineStats(int(queries), int(hits), int(held) or None)
