"""The workflows of GitHub are valid, run commands that exist, and may do no more than they need."""

import importlib.util
import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.run_all import JOBS

pytestmark = pytest.mark.once

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / ".github" / "workflows").iterdir())
SHELL = {"test"}
# An action without a fixed commit, whose maintainers move this branch from release to release.
BRANCHES = {"pypa/gh-action-pypi-publish@release/v1"}
WRITES = {"attest": {"id-token", "attestations"}, "publish": {"id-token"}}


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def workflow(request):
    # YAML 1.1 reads the key `on` as true.
    return yaml.safe_load(request.param.read_text(encoding="utf-8").replace("\non:", "\n'on':"))


def steps_of(workflow):
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


def test_they_test_a_push_release_and_look_at_dependencies_by_schedule():
    assert [path.name for path in FILES] == ["dependencies.yml", "release.yml", "tests.yml"]


def test_a_workflow_has_what_github_requires(workflow):
    assert workflow["on"]
    for job in workflow["jobs"].values():
        assert ("uses" in job) != ("steps" in job)
        assert ("uses" in job) != ("runs-on" in job)
        needs = job.get("needs", [])
        assert ({needs} if isinstance(needs, str) else set(needs)) <= workflow["jobs"].keys()
        assert all(("uses" in step) != ("run" in step) for step in job.get("steps", []))
        if "uses" in job:
            assert (ROOT / job["uses"]).is_file()


def test_each_command_exists(workflow):
    for job in workflow["jobs"].values():
        installed = {"pip"}
        for step in job.get("steps", []):
            command = step.get("run", "")
            for module in re.findall(r"python -m (\w+)", command):
                assert module in installed or importlib.util.find_spec(module)
            words = shlex.split(command)
            installed |= (
                set(words[4:]) if words[:4] == ["python", "-m", "pip", "install"] else set()
            )
            if not words or words[0] in SHELL | installed | {"python"}:
                continue
            assert os.access(ROOT / words[0], os.X_OK), f"{words[0]} is neither here nor installed"


def test_a_workflow_may_do_no_more_than_it_needs(workflow):
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for name, job in workflow["jobs"].items():
        permissions = job.get("permissions", {})
        assert {key for key, one in permissions.items() if one == "write"} == WRITES.get(
            name, set()
        )
        if name in WRITES:  # what can sign and publish runs no code of the repository
            assert not any("run" in step for step in job["steps"])
            assert not any("checkout" in step["uses"] for step in job["steps"])


def test_nothing_secret_is_used_and_no_stranger_can_write_into_a_command(workflow):
    assert "secrets" not in str(workflow)
    assert "pull_request_target" not in workflow["on"]
    for step in steps_of(workflow):
        assert "${{" not in step.get("run", "")
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


def test_actions_are_fixed_by_their_commit_and_named_by_their_version():
    for path in FILES:
        lines = [line.strip(" -") for line in path.read_text(encoding="utf-8").splitlines()]
        for line in (line for line in lines if line.startswith("uses: ")):
            action = line.split()[1]
            if action in BRANCHES or action.startswith("./"):
                continue
            assert re.fullmatch(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), line


def test_the_scheduled_run_has_the_jobs_and_backends_of_run_all():
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "dependencies.yml").read_text())
    matrix = content["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix["job"] == list(JOBS)
    assert {one["job"]: one["backend"] for one in matrix["include"]} == JOBS
    assert matrix["resolution"] == ["highest", "lowest-direct"]


def test_a_release_runs_the_tests_first():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    order = [jobs[name].get("needs") for name in ("tests", "build", "attest", "publish")]
    assert order == [None, "tests", "build", "attest"]
