"""The profile of the machine: found by name or path, refused in one line where it cannot work."""

import re
from subprocess import CompletedProcess

import pytest

from penumbra.errors import PenumbraError
from penumbra.workflow import execute


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """Writes a profile and chooses it."""
    monkeypatch.chdir(tmp_path)

    def choose(text):
        (tmp_path / "profiles/mine").mkdir(parents=True, exist_ok=True)
        (tmp_path / "profiles/mine/config.yaml").write_text(text)
        monkeypatch.setenv("PENUMBRA_PROFILE", "mine")

    return choose


def test_a_profile_without_its_plugin_is_refused_with_the_name_of_what_to_install(profiles):
    profiles("executor: no-such-cluster\n")
    with pytest.raises(PenumbraError, match="profiles/mine: snakemake-executor-plugin-no-such-cluster is not installed"):
        execute.snakemake()


def test_snakemake_is_silent_only_where_the_jobs_write_to_the_same_terminal(profiles, monkeypatch):
    profiles("cores: 2\n")
    assert "all" in execute.snakemake("--touch")
    profiles("executor: cluster\n")
    monkeypatch.setattr(execute, "find_spec", lambda name: name == "snakemake_executor_plugin_cluster")
    assert not {"all", "rules"} & set(execute.snakemake("--touch"))  # with `rules` it would not say why a job failed


def test_a_snakemake_that_something_else_has_ended_is_not_said_to_have_refused(profiles, monkeypatch):
    profiles("cores: 2\n")
    for status, told in ((0, "Snakemake ended by signal 9, and no job had failed. "), (1, "Snakemake refused to run:\nno such file")):
        monkeypatch.setattr(
            execute.subprocess, "run", lambda *_, status=status, **options: CompletedProcess((), status, "", "no such file\n")
        )
        assert execute._refusal(["all"], -9).startswith(told)


def test_trainings_of_networks_are_started_as_several_processes_where_the_profile_says_so(whole):
    done = whole.snakemake("--dry-run", "--printshellcmds", "--forceall", "--config", "processes=4")
    shown = re.findall(r"^ *Shell command: (.*) 2>&1", done.stdout + done.stderr, re.MULTILINE)
    launch = "torchrun --standalone --nproc-per-node=4 --no-python "
    several = {each.removeprefix(launch) for each in shown if each.startswith(launch)}
    alone = {each for each in shown if each.startswith("penumbra train ")}
    assert alone == {"penumbra train clip", "penumbra train clip-synood"}
    assert "penumbra train none" in several and all(each.startswith("penumbra train ") for each in several)
