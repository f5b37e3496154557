"""The command line as a process: exit codes, streams, pipes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from synthetic import make_session

from workbench.cli import build_parser, main


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return str(make_session(tmp_path_factory.mktemp("cli") / "s.wb", rows=3000))


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "workbench", *words], capture_output=True, text=True, **options
    )


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nothing"],
        ["record"],
        ["record", "cpu", "--hz", "many"],
        ["record", "cpu", "--pid", "x"],
        ["record", "cpu", "--duration", "soon"],
        ["record", "cpu", "--transport", "pigeon"],
        ["record", "cpu", "--no-such-option"],
        ["info"],
        ["sql", "s.wb"],
        ["export", "s.wb"],
        ["doctor", "extra"],
    ],
)
def test_wrong_arguments_are_2_with_the_usage(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    said = capsys.readouterr()
    assert "usage: workbench" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["info", "none.wb"], "none.wb"),
        (["sql", "SESSION", "select"], ""),
        (["sql", "SESSION", "select x from syscalls"], "x"),
        (["export", "SESSION", "--format", "docx"], "docx"),
        (["export", "SESSION", "--format", "csv", "--table", "none", "-o", "x.csv"], "none"),
        (["report", "SESSION", "-o", "/no/such/folder/r.html"], "/no/such/folder"),
        (["record", "nothing", "--pid", "1"], "nothing"),
        (["record", "cpu"], "no target"),
        (["record", "cpu", "--pid", "1", "--", "true"], "not both"),
        (["record", "cpu", "--", "no-such-program"], "no-such-program"),
        (["record", "syscalls", "--pid", "1", "--hz", "9"], "hz"),
        (["record", "cpu", "--comm", "x" * 20, "-o", "s.wb"], "no thread"),
    ],
)
def test_errors_are_1_with_why_and_next_on_stderr(words, what, path, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main([path if word == "SESSION" else word for word in words]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("workbench: ")
    assert what in said.err
    assert "Why: " in said.err or "Next: " in said.err or what == "not both"
    assert "Traceback" not in said.err
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_process(tmp_path):
    done = run("info", "none.wb", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("workbench: ")
    assert run("record", cwd=tmp_path).returncode == 2


def test_help_and_version(capsys):
    for words in (["--help"], ["record", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
    said = capsys.readouterr().out
    assert "workbench record cpu,syscalls" in said
    for option in ("--hz", "--aggregate", "--no-user-stacks", "--syscalls", "--ring-bytes"):
        assert option in said


def test_every_command_runs_a_function_of_its_own():
    choices = build_parser()._subparsers._group_actions[0].choices
    needs = {"record": ["cpu"], "sql": ["s.wb", "q"], "export": ["s.wb", "--format", "csv"]}
    needs["probe"] = ["rawtp:x"]
    needs["convert"] = ["a.pb.gz", "s.wb"]
    runs = {
        name: parser.parse_args(
            needs.get(name, [] if name in ("doctor", "kinds") else ["s.wb"])
        ).run
        for name, parser in choices.items()
    }
    assert len(set(runs.values())) == len(runs) == 12


@pytest.mark.parametrize(
    ("words", "attribute", "value"),
    [
        (["--hz", "7"], "hz", 7),
        (["--syscalls", "read,write"], "syscalls", ("read", "write")),
        (["--aggregate"], "aggregate", True),
        (["--no-user-stacks"], "user_stacks", False),
        ([], "user_stacks", None),
        (["--no-follow"], "no_follow", True),
        (["--ring-bytes", "4096"], "ring_bytes", 4096),
    ],
)
def test_parameters_of_the_kinds_are_options(words, attribute, value):
    assert getattr(build_parser().parse_args(["record", "cpu", *words]), attribute) == value


LONG = ["sql", "SESSION", "select * from syscalls", "--json"]


@pytest.mark.parametrize("words", [LONG, ["kinds"], ["info", "SESSION"], ["kinds", "--json"]])
def test_a_closed_pipe_is_no_error(words, path):
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench", *(path if w == "SESSION" else w for w in words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
    )
    process.stdout.close()  # before a word was written: as `| true` does
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert error == b""


def test_head_gets_its_lines(path):
    command = f'"{sys.executable}" -m workbench sql "{path}" "select * from syscalls" --json'
    done = subprocess.run(["sh", "-c", f"{command} | head -n 2"], capture_output=True, text=True)
    assert done.stderr == ""
    assert [set(json.loads(line)) >= {"ts", "nr"} for line in done.stdout.splitlines()] == [
        True
    ] * 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_output_is_told():
    command = f"{sys.executable} -m workbench kinds >/dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == ("workbench: The output cannot be written: No space left on device.\n")


def test_ctrl_c_is_130(monkeypatch, path):
    def interrupted(_args):
        raise KeyboardInterrupt

    monkeypatch.setattr("workbench.cli.commands.info", interrupted)
    assert main(["info", path]) == 130


def test_words_of_the_process_are_the_default(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["workbench", "kinds", "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)


def test_output_can_be_of_any_language(path):
    done = run("kinds", env=os.environ | {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert done.returncode == 0, done.stderr
