"""Which cgroups are looked for, and what is written to and read from their files.

The folders here only look like cgroups: no kernel stands behind them. The hostile suite runs with whatever
this machine really has, and `on_another_kernel.sh` gives it cgroup v2.
"""

from __future__ import annotations

from pathlib import Path

from eval.sandbox.cgroups import CLEAN, Accounting, Group, _works, legacy, memberships, unified

V2 = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-7.scope\n"
V1 = "9:name=systemd:/\n4:memory:/jobs/1\n3:cpuset:/\n2:cpu,cpuacct:/jobs\n8:pids:/jobs/1\n0::/\n"


def v2_tree(root: Path, controllers: dict[str, str]) -> None:
    for name, enabled in controllers.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "cgroup.subtree_control").write_text(enabled + "\n")


def test_memberships_are_read_by_controller() -> None:
    assert memberships(V1)["cpuacct"] == "/jobs"
    assert memberships(V1)["memory"] == "/jobs/1"
    assert memberships(V2) == {"": V2.split("::")[1].strip()}


def test_v2_groups_stand_in_the_nearest_ancestor_that_passes_memory_limits_on(tmp_path: Path) -> None:
    slices = "user.slice/user-1000.slice/user@1000.service"
    v2_tree(
        tmp_path,
        {".": "cpu memory pids", slices: "memory pids", f"{slices}/app.slice": "memory pids",
         f"{slices}/app.slice/run-7.scope": "", "user.slice": "cpu"},
    )  # fmt: skip
    found = [str(one.parents[0].relative_to(tmp_path)) for one in unified(memberships(V2), tmp_path)]
    assert found == [f"{slices}/app.slice", slices, "."]


def test_without_the_memory_controller_there_is_no_v2(tmp_path: Path) -> None:
    v2_tree(tmp_path, {".": "cpu pids"})
    assert unified(memberships(V2), tmp_path) == []
    assert unified(memberships("0::/../outside\n"), tmp_path / "elsewhere") == []


def test_v1_groups_stand_in_the_callers_own(tmp_path: Path) -> None:
    both, memory = legacy(memberships(V1), tmp_path)
    assert both.parents == (tmp_path / "memory/jobs/1", tmp_path / "pids/jobs/1")
    assert memory.parents == (tmp_path / "memory/jobs/1",)


def test_v2_group_speaks_the_kernels_files(tmp_path: Path) -> None:
    group = Group(Accounting("cgroup2", (tmp_path,)), memory=1 << 26, processes=5)
    (folder,) = tmp_path.iterdir()
    group.join(4711)
    assert (folder / "memory.max").read_text() == str(1 << 26)
    assert (folder / "cgroup.procs").read_text() == "4711"
    (folder / "memory.peak").write_text("12345\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 0\noom_group_kill 0\n")
    assert group.peak() == 12345
    assert not group.ran_out()
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\noom_group_kill 0\n")
    assert group.ran_out()
    for path in folder.iterdir():
        path.unlink()
    group.remove()
    assert not list(tmp_path.iterdir())


def test_v2_group_sets_what_the_kernel_offers(tmp_path: Path) -> None:
    """Swap and process caps exist only where the kernel has made their files."""
    group = Group(Accounting("cgroup2", (tmp_path,)), memory=1, processes=5)
    (folder,) = tmp_path.iterdir()
    assert not (folder / "pids.max").exists()
    for name in ("pids.max", "memory.swap.max"):
        (folder / name).write_text("max\n")
    group._limit(memory=1, processes=5)
    assert (folder / "pids.max").read_text() == "5"
    assert (folder / "memory.swap.max").read_text() == "0"


def test_v1_group_serves_again_unless_memory_ran_out_or_is_still_charged(tmp_path: Path) -> None:
    parents = (tmp_path / "memory", tmp_path / "pids")
    for parent in parents:
        parent.mkdir()
    group = Group(Accounting("cgroup1", parents), memory=1 << 26, processes=5)
    memory, pids = group.paths
    (memory / "memory.usage_in_bytes").write_text("1000\n")
    (memory / "memory.max_usage_in_bytes").write_text("9000\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n")
    assert group.renew(memory=1 << 27, processes=9)
    assert (memory / "memory.limit_in_bytes").read_text() == str(1 << 27)
    assert (pids / "pids.max").read_text() == "9"
    assert int((memory / "memory.max_usage_in_bytes").read_text()) == 0
    (memory / "memory.max_usage_in_bytes").write_text("5000\n")
    assert group.peak() == 4000
    (memory / "memory.usage_in_bytes").write_text(f"{CLEAN + 1}\n")
    assert not group.renew(memory=1 << 27, processes=9)
    (memory / "memory.usage_in_bytes").write_text("0\n")
    (memory / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 1\n")
    assert group.ran_out()
    assert not group.renew(memory=1 << 27, processes=9)


def test_a_folder_that_is_no_cgroup_is_not_taken_for_one(tmp_path: Path) -> None:
    for accounting in (Accounting("cgroup2", (tmp_path,)), Accounting("cgroup1", (tmp_path, tmp_path))):
        assert not _works(accounting)


def test_what_was_found_is_said() -> None:
    assert "/sys/fs/cgroup/app.slice" in str(Accounting("cgroup2", (Path("/sys/fs/cgroup/app.slice"),)))
    assert "rlimits" in str(Accounting("rlimits"))
