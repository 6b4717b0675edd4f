"""Tests of how the stand-in for rules_python starts a program: bootstrap script and run_main.py.

They make what the build makes: a program beside its runfiles, with a virtual environment around the
interpreter that runs this test.
"""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
from absl import flags

_BOOTSTRAP = flags.DEFINE_string(
    "bootstrap", None, "The bootstrap script's template.", required=True
)
_RUN_MAIN = flags.DEFINE_string("run_main", None, "run_main.py.", required=True)

MAIN = """\
import json, os, sys
import dependency
json.dump(
    {
        "argv": sys.argv,
        "path": sys.path,
        "pid": os.getpid(),
        "isolated": sys.flags.isolated,
        "environment": dict(os.environ),
        "executable": sys.executable,
        "name": __name__,
        "file": __file__,
        "dependency": dependency.__file__,
    },
    sys.stdout,
)
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Program:
    stub: pathlib.Path
    runfiles: pathlib.Path

    def start(
        self, *arguments: str, command: list[str] | None = None, cwd: str = "/", **environment: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*(command or [str(self.stub)]), *arguments],
            cwd=cwd,
            env={"PATH": "/bin:/usr/bin", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, command: list[str] | None = None, cwd: str = "/", **environment: str
    ) -> dict[str, object]:
        process = self.start(*arguments, command=command, cwd=cwd, **environment)
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        report = dict(json.loads(output))
        assert report["pid"] == process.pid, "the program took the place of the script"
        return report


def make_program(folder: pathlib.Path, main: str = MAIN) -> Program:
    runfiles = folder / "program.runfiles"
    python = pathlib.Path(os.path.realpath(sys.executable))
    for name, text in {
        "_main/pkg/main.py": main,
        "wheel/site-packages/dependency.py": "",
        "toolchain/pyvenv.cfg": f"home = {python.parent}\ninclude-system-site-packages = false\n",
    }.items():
        (runfiles / name).parent.mkdir(parents=True, exist_ok=True)
        (runfiles / name).write_text(text)
    (runfiles / "toolchain/bin").mkdir()
    (runfiles / "toolchain/bin/python3").symlink_to(python)
    shutil.copy(_RUN_MAIN.value, runfiles / "toolchain/run_main.py")
    script = pathlib.Path(_BOOTSTRAP.value).read_text()
    for placeholder, value in {
        "%shebang%": "#!/bin/sh",
        "%target%": "//pkg:program",
        "%main%": "_main/pkg/main.py",
        "%python_binary%": "toolchain/bin/python3",
        "%imports%": "wheel/site-packages:_main/../wheel/site-packages:_main/absent",
        "%workspace_name%": "_main",
    }.items():
        assert placeholder in script
        script = script.replace(placeholder, value)
    stub = folder / "program"
    stub.write_text(script)
    stub.chmod(0o755)
    return Program(stub, runfiles)


@pytest.fixture
def program(tmp_path: pathlib.Path) -> Program:
    folder = tmp_path / "a folder with blanks, and 'quotes'"
    folder.mkdir()
    return make_program(folder)


def test_arguments_and_main_are_as_for_any_program(program: Program) -> None:
    report = program.run("--flag=a b", "", "'", "*")
    main = str(program.runfiles / "_main/pkg/main.py")
    assert report["argv"] == [main, "--flag=a b", "", "'", "*"]
    assert (report["name"], report["file"]) == ("__main__", main)


def test_the_import_path_is_library_then_imports_then_workspace(program: Program) -> None:
    path = program.run()["path"]
    assert isinstance(path, list)
    own = [entry for entry in path if entry.startswith(str(program.runfiles))]
    assert own == [
        str(program.runfiles / "wheel/site-packages"),
        str(program.runfiles / "_main/absent"),
        str(program.runfiles / "_main"),
    ]
    assert path[-3:] == own
    assert not any("site-packages" in entry for entry in path[:-3])


def test_it_is_found_by_any_name(program: Program, tmp_path: pathlib.Path) -> None:
    name = program.stub.name
    (tmp_path / "absolute").symlink_to(program.stub)
    (tmp_path / "relative").symlink_to(os.path.relpath(program.stub, tmp_path))
    (tmp_path / "twice").symlink_to("relative")
    (program.runfiles / "_main/inside").symlink_to("../../" + name)
    in_path = {"PATH": f"{program.stub.parent}:/bin:/usr/bin"}
    for command, cwd, environment in [
        ([f"./{name}"], program.stub.parent, {}),
        ([f"{program.stub.parent.name}/{name}"], tmp_path, {}),
        (["/bin/sh", "-c", f"exec {name}"], tmp_path, in_path),
        ([str(tmp_path / "absolute")], "/", {}),
        (["./relative"], tmp_path, {}),
        (["./twice"], tmp_path, {}),
        ([str(program.runfiles / "_main/inside")], "/", {}),
    ]:
        report = program.run(command=command, cwd=str(cwd), **environment)
        environment_seen = report["environment"]
        assert isinstance(environment_seen, dict)
        assert os.path.isabs(environment_seen["RUNFILES_DIR"])
        assert os.path.samefile(environment_seen["RUNFILES_DIR"], program.runfiles), command


def test_another_programs_runfiles_are_not_taken_for_its_own(
    program: Program, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "other.runfiles"
    other.mkdir()
    report = program.run(RUNFILES_DIR=str(other), RUNFILES_MANIFEST_FILE=f"{other}/MANIFEST")
    environment = report["environment"]
    assert isinstance(environment, dict)
    assert environment["RUNFILES_DIR"] == str(program.runfiles)
    assert "RUNFILES_MANIFEST_FILE" not in environment


def test_the_callers_python_settings_do_not_count(program: Program, tmp_path: pathlib.Path) -> None:
    (tmp_path / "json.py").write_text("raise ImportError('not this one')\n")
    (tmp_path / "python3").write_text("#!/bin/sh\nexit 99\n")
    (tmp_path / "python3").chmod(0o755)
    report = program.run(
        cwd=str(tmp_path),
        PATH=f"{tmp_path}:/bin:/usr/bin",
        PYTHONPATH=str(tmp_path),
        PYTHONHOME=str(tmp_path),
        PYTHONSTARTUP=str(tmp_path / "json.py"),
        PYTHONUSERBASE=str(tmp_path),
        VIRTUAL_ENV=str(tmp_path),
    )
    assert report["isolated"] == 1


def test_children_get_no_import_path(tmp_path: pathlib.Path) -> None:
    program = make_program(
        tmp_path,
        "import json, os, subprocess, sys\n"
        "import dependency\n"
        "child = 'import sys, json; json.dump([sys.path, sys.prefix], sys.stdout)'\n"
        "path, prefix = json.loads(subprocess.check_output([sys.executable, '-c', child]))\n"
        "json.dump({'pid': os.getpid(), 'path': path, 'prefix': prefix}, sys.stdout)\n",
    )
    report = program.run()
    path = report["path"]
    assert isinstance(path, list)
    assert report["prefix"] == str(program.runfiles / "toolchain")
    assert not any("-packages" in entry or str(program.runfiles) in entry for entry in path)


def test_multiprocessing_can_spawn(tmp_path: pathlib.Path) -> None:
    program = make_program(
        tmp_path,
        "import json, multiprocessing, os, sys\n"
        "import dependency\n"
        "def work(number): return [number * 2, dependency.__file__]\n"
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        result = pool.map(work, [21])\n"
        "    json.dump({'pid': os.getpid(), 'result': result}, sys.stdout)\n",
    )
    dependency = str(program.runfiles / "wheel/site-packages/dependency.py")
    assert program.run()["result"] == [[42, dependency]]


def test_exit_codes_and_signals_are_the_programs_own(tmp_path: pathlib.Path) -> None:
    program = make_program(
        tmp_path,
        "import signal, sys, time\n"
        "if len(sys.argv) > 1: sys.exit(int(sys.argv[1]))\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n",
    )
    process = program.start("42")
    process.communicate()
    assert process.returncode == 42
    process = program.start()
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 7


def test_a_missing_interpreter_is_said(program: Program) -> None:
    (program.runfiles / "toolchain/bin/python3").unlink()
    process = program.start()
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "no interpreter at" in errors and "building it again" in errors


def test_missing_runfiles_are_said(program: Program) -> None:
    shutil.rmtree(program.runfiles)
    process = program.start()
    _, errors = process.communicate()
    assert process.returncode == 1
    assert "no runfiles folder" in errors
