"""Observation of files and environments: exact for files, best effort without errors else."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitexp.adapters.system import probe
from gitexp.adapters.system.probe import (
    hash_file,
    hash_path,
    hash_tree,
    lock_files,
    probe_environment,
)
from gitexp.core.model.run import FileState
from gitexp.core.schema.toml_codec import encode_table


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class TestFiles:
    @pytest.mark.parametrize("content", [b"", b"a", bytes(range(256)) * 5000])
    def test_file_state_depends_on_content_only(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a").write_bytes(content)
        assert hash_file(tmp_path / "a") == FileState(sha256=sha256(content), bytes=len(content))

    def test_link_state_is_that_of_its_text(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(b"content")
        (tmp_path / "link").symlink_to("data")
        (tmp_path / "broken").symlink_to("gone")
        assert hash_file(tmp_path / "link") == FileState(sha256=sha256(b"data"), bytes=4)
        assert hash_file(tmp_path / "broken") == FileState(sha256=sha256(b"gone"), bytes=4)

    def test_a_link_that_the_user_named_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_bytes(b"content")
        (tmp_path / "link").symlink_to("data")
        assert hash_path(tmp_path / "link") == hash_file(tmp_path / "data")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/a").write_bytes(b"1")
        (tmp_path / "to").symlink_to("folder")
        assert hash_path(tmp_path / "to") == hash_path(tmp_path / "folder")

    def test_missing_path_or_special_file_raises(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "broken").symlink_to("gone")
        for name in ("missing", "pipe", "broken"):
            with pytest.raises(OSError, match=f"{name}|gone"):
                hash_path(tmp_path / name)

    def test_directory_state_is_that_of_its_sorted_listing(self, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()
        (tmp_path / "b/1").write_bytes(b"one")
        (tmp_path / "a").write_bytes(b"two")
        (tmp_path / "link").symlink_to("a")
        listing = (
            f"file {sha256(b'two')} a\0file {sha256(b'one')} b/1\0link {sha256(b'a')} link\0"
        ).encode()
        assert hash_tree(tmp_path) == FileState(sha256=sha256(listing), bytes=7)

    def test_any_change_in_a_directory_changes_its_state(self, tmp_path: Path) -> None:
        folder = tmp_path / "f"
        (folder / "sub").mkdir(parents=True)
        seen = {hash_tree(folder).sha256}
        (folder / "a").write_bytes(b"1")
        seen.add(hash_tree(folder).sha256)
        (folder / "a").rename(folder / "b")
        seen.add(hash_tree(folder).sha256)
        (folder / "b").rename(folder / "sub/b")
        seen.add(hash_tree(folder).sha256)
        (folder / "sub/b").write_bytes(b"2")
        seen.add(hash_tree(folder).sha256)
        (folder / "sub/b").unlink()
        (folder / "sub/b").symlink_to("2")
        seen.add(hash_tree(folder).sha256)
        assert len(seen) == 6

    def test_ignored_changes_keep_the_state_of_a_directory(self, tmp_path: Path) -> None:
        folder = tmp_path / "f"
        folder.mkdir()
        (folder / "a").write_bytes(b"1")
        before = hash_tree(folder)
        os.utime(folder / "a", (0, 0))
        (folder / "a").chmod(0o700)
        (folder / "empty").mkdir()
        (folder / ".git").mkdir()
        (folder / ".git/HEAD").write_bytes(b"x")
        os.mkfifo(folder / "pipe")
        assert hash_tree(folder) == before

    def test_links_within_a_folder_are_not_followed(self, tmp_path: Path) -> None:
        (tmp_path / "loop").symlink_to(".")
        (tmp_path / "away").symlink_to("/")
        assert hash_tree(tmp_path).bytes == 2

    def test_file_names_that_are_not_utf8_are_hashed(self, tmp_path: Path) -> None:
        (tmp_path / os.fsdecode(b"a\xff")).write_bytes(b"")
        one = hash_tree(tmp_path)
        (tmp_path / os.fsdecode(b"a\xff")).rename(tmp_path / os.fsdecode(b"a\xfe"))
        assert hash_tree(tmp_path) != one


def test_lock_files_at_the_top_are_hashed(tmp_path: Path) -> None:
    names = (
        *("uv.lock", "poetry.lock", "pdm.lock", "pixi.lock", "pylock.toml", "pylock.dev.toml"),
        *("conda-lock.yml", "requirements.txt", "requirements-dev.txt"),
    )
    for name in (*names, "package-lock.json", "pyproject.toml", "my-requirements.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "requirements-gone.txt").symlink_to("gone")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/uv.lock").write_text("")
    assert lock_files(tmp_path) == {name: sha256(name.encode()) for name in sorted(names)}
    assert lock_files(tmp_path / "missing") == {}


# --- environments -------------------------------------------------------------------------------


class Installation:
    """Files of a Python installation, created without an installer. Its program is never run."""

    def __init__(self, root: Path, series: str = "3.12") -> None:
        self.root = root
        self.site = root / "lib" / f"python{series}" / "site-packages"
        self.site.mkdir(parents=True)
        self.python = root / "bin" / "python"
        self.python.parent.mkdir()
        self.python.write_bytes(b"\x7fELF must never run")
        self.python.chmod(0o755)

    def install(
        self, entry: str, direct_url: str | None = None, *, site: Path | None = None
    ) -> None:
        folder = (site or self.site) / entry
        folder.mkdir(parents=True)
        if direct_url is not None:
            (folder / "direct_url.json").write_text(direct_url)

    def script(self, name: str, head: str) -> Path:
        path = self.root / "bin" / name
        path.write_text(head)
        path.chmod(0o755)
        return path


@pytest.fixture
def python(tmp_path: Path) -> Installation:
    made = Installation(tmp_path / "py")
    made.install("numpy-2.1.0.dist-info")
    return made


def look(
    *argv: str, env: dict[str, str] | None = None, path: Path | None = None
) -> tuple[dict[str, object], dict[str, str]]:
    variables = {"PATH": f"{path}:/usr/bin:/bin" if path else os.environ["PATH"], **(env or {})}
    facts, packages = probe_environment(argv, directory=Path.cwd(), env=variables)
    return dict(facts), packages


class TestMachine:
    def test_facts_are_those_of_this_machine(self) -> None:
        facts, _ = look("true")
        system = os.uname()
        assert facts["platform"] == f"{system.sysname} {system.release}"
        assert facts["machine"] == system.machine
        assert facts["host"] == system.nodename.partition(".")[0]
        assert facts["cpus"] == len(os.sched_getaffinity(0))
        assert isinstance(facts["memory_bytes"], int)
        assert facts["memory_bytes"] > 1 << 20

    def test_cpu_count_is_that_of_the_allowed_cpus(self) -> None:
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, {min(before)})
            assert look("true")[0]["cpus"] == 1
        finally:
            os.sched_setaffinity(0, before)

    def test_other_environment_variables_are_not_recorded(self, python: Installation) -> None:
        env = {"API_TOKEN": "s3cret-value", "PYTHONPATH": "/s3cret-path", "HOME": "/s3cret-home"}
        facts, packages = look(str(python.python), env=env)
        assert "s3cret" not in repr((facts, packages))

    def test_record_can_hold_the_environment(self, python: Installation) -> None:
        facts, packages = probe_environment(
            [str(python.python)], directory=Path.cwd(), env=dict(os.environ)
        )
        assert encode_table(facts)
        assert encode_table(dict(packages))

    def test_facts_that_cannot_be_read_are_absent(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            raise OSError

        for name in ("find_interpreter", "_cpu", "_cpus", "_gpus", "_gpu_driver"):
            monkeypatch.setattr(probe, name, fail)
        facts, packages = look("python")
        assert set(facts) == {"platform", "machine", "host", "memory_bytes"}
        assert packages == {}


class TestPython:
    def test_facts_of_the_running_python_are_exact(self) -> None:
        facts, packages = look(sys.executable)
        assert facts["python"] == ".".join(str(n) for n in sys.version_info[:3])
        assert facts["python_implementation"] == sys.implementation.name
        listed = subprocess.run(
            [
                sys.executable,
                "-c",
                "from importlib.metadata import distributions\n"
                "for d in distributions(): print(d.metadata['Name'], d.version)",
            ],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        true = dict(line.lower().replace("_", "-").split() for line in listed.stdout.splitlines())
        assert {name.replace("_", "-"): v for name, v in packages.items()} == true

    def test_package_digest_differs_between_environments(self, python: Installation) -> None:
        one, packages = look(str(python.python))
        assert one["packages"] == sha256(b"numpy==2.1.0\n")
        assert packages == {"numpy": "2.1.0"}
        python.install("scipy-1.0.dist-info")
        assert look(str(python.python))[0]["packages"] != one["packages"]

    def test_python_is_the_first_on_path(self, python: Installation) -> None:
        facts, packages = look("python", "train.py", path=python.python.parent)
        assert facts["python"] == "3.12"
        assert packages == {"numpy": "2.1.0"}

    @pytest.mark.parametrize(
        "words", [["nice", "python"], ["timeout", "60", "python", "x.py"], ["env", "A=b", "python"]]
    )
    def test_python_is_found_behind_another_command(
        self, python: Installation, words: list[str]
    ) -> None:
        assert look(*words, path=python.python.parent)[1] == {"numpy": "2.1.0"}

    def test_python_of_a_script_is_its_interpreter(self, python: Installation) -> None:
        for name, head in (
            ("pytest", f"#!{python.python}\nimport x"),
            ("torchrun", f"#!/bin/sh\n'''exec' {python.python} \"$0\" \"$@\"\n' '''\n"),
            ("tool", "#!/usr/bin/env python\n"),
            ("other", "#!/usr/bin/env -S python -u\n"),
        ):
            python.script(name, head)
            assert look(name, "--flag", path=python.python.parent)[1] == {"numpy": "2.1.0"}, name

    @pytest.mark.parametrize("words", [["bash", "-c", "python x"], ["make"], ["./go"]])
    def test_python_of_a_shell_is_the_one_on_path(
        self, python: Installation, words: list[str]
    ) -> None:
        go = Path("go")
        go.write_text("#!/usr/bin/env bash\npython x\n")
        go.chmod(0o755)
        assert look(*words, path=python.python.parent)[1] == {"numpy": "2.1.0"}

    def test_python_of_a_project_tool_is_beside_the_project(self, tmp_path: Path) -> None:
        made = Installation(tmp_path / ".venv")
        (tmp_path / ".venv/pyvenv.cfg").write_text("home = /nowhere/bin\nversion_info = 3.12.4\n")
        made.install("torch-2.9.dist-info")
        facts, packages = look("uv", "run", "train.py")
        assert (facts["python"], packages) == ("3.12.4", {"torch": "2.9"})

    def test_program_without_python_has_no_python(self, python: Installation) -> None:
        facts, packages = look("/bin/ls", path=python.python.parent)
        assert not {"python", "python_implementation", "packages", "editable"} & set(facts)
        assert packages == {}
        assert look("no-such-command")[1] == {}

    def test_version_manager_shim_is_no_python(self, python: Installation) -> None:
        python.python.write_text("#!/bin/sh\nexec elsewhere\n")
        assert "python" not in look("python", path=python.python.parent)[0]


class TestVirtualEnvironment:
    @pytest.fixture
    def venv(self, tmp_path: Path, python: Installation) -> Installation:
        made = Installation(tmp_path / "venv")
        made.python.unlink()
        made.python.symlink_to(python.python)
        made.install("click-8.1.dist-info")
        return made

    def configure(self, venv: Installation, home: Path, extra: str = "") -> None:
        (venv.root / "pyvenv.cfg").write_text(f"home = {home}\nversion = 3.12.9\n{extra}")

    def test_virtual_environment_has_its_own_packages(
        self, venv: Installation, python: Installation
    ) -> None:
        self.configure(venv, python.python.parent)
        facts, packages = look(str(venv.python))
        assert (facts["python"], packages) == ("3.12.9", {"click": "8.1"})

    def test_packages_of_a_virtual_environment_hide_those_of_its_base(
        self, venv: Installation, python: Installation
    ) -> None:
        self.configure(venv, python.python.parent, "include-system-site-packages = true\n")
        python.install("click-1.0.dist-info")
        assert look(str(venv.python))[1] == {"click": "8.1", "numpy": "2.1.0"}

    def test_virtual_environment_names_its_implementation(
        self, venv: Installation, python: Installation
    ) -> None:
        self.configure(venv, python.python.parent, "implementation = PyPy\n")
        assert look(str(venv.python))[0]["python_implementation"] == "pypy"

    def test_real_virtual_environments_are_read(self, tmp_path: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", "real"], check=True)
        facts, packages = look(str(tmp_path / "real/bin/python"))
        assert facts["python"] == ".".join(str(n) for n in sys.version_info[:3])
        assert packages == {}


class TestPackages:
    def test_names_are_normal_and_sorted(self, python: Installation) -> None:
        for entry in (
            "Zope.Interface-6.0.dist-info",
            "a_b.C-1.0rc1.dist-info",
            "old-1.0-py3.12.egg-info",
            "local-1.0+cu12.dist-info",
            "__pycache__",
            "numpy",
            "-nonsense.dist-info",
        ):
            python.install(entry)
        _, packages = look(str(python.python))
        assert list(packages.items()) == [
            ("a-b-c", "1.0rc1"),
            ("local", "1.0+cu12"),
            ("numpy", "2.1.0"),
            ("old", "1.0"),
            ("zope-interface", "6.0"),
        ]

    def test_editable_packages_are_listed(self, python: Installation) -> None:
        python.install("mine-0.1.dist-info", '{"url": "file:///x", "dir_info": {"editable": true}}')
        python.install("not-0.1.dist-info", '{"url": "file:///x", "dir_info": {"editable": false}}')
        assert look(str(python.python))[0]["editable"] == ["mine"]

    def test_old_style_editable_packages_are_listed(self, python: Installation) -> None:
        (python.site / "__editable__.my_pkg-0.1.pth").write_text("/x")
        (python.site / "older.egg-link").write_text("/x\n.")
        assert look(str(python.python))[0]["editable"] == ["my-pkg", "older"]

    def test_version_has_the_commit_without_the_url(self, python: Installation) -> None:
        python.install(
            "forked-1.0.dist-info",
            '{"url": "https://u:s3cret@host/x", "vcs_info": {"commit_id": "0123abcd"}}',
        )
        _, packages = look(str(python.python))
        assert packages["forked"] == "1.0 @ 0123abcd"

    def test_all_package_directories_are_searched_in_order(
        self, python: Installation, tmp_path: Path
    ) -> None:
        python.install("numpy-9.dist-info", site=tmp_path / "first")
        user = tmp_path / "home/.local/lib/python3.12/site-packages"
        python.install("own-1.dist-info", site=user)
        python.install("deb-1.egg-info", site=python.root / "lib/python3/dist-packages")
        env = {"PYTHONPATH": str(tmp_path / "first"), "HOME": str(tmp_path / "home")}
        assert look(str(python.python), env=env)[1] == {"deb": "1", "numpy": "9", "own": "1"}
        assert "own" not in look(str(python.python), env={**env, "PYTHONNOUSERSITE": "1"})[1]

    def test_packages_installed_later_are_listed(self, python: Installation) -> None:
        def age(seconds: float) -> None:
            os.utime(python.site, (time.time() - seconds, time.time() - seconds))

        age(100)  # old enough for the cache
        assert look(str(python.python))[1] == {"numpy": "2.1.0"}
        python.install("scipy-1.0.dist-info")
        assert look(str(python.python))[1] == {"numpy": "2.1.0", "scipy": "1.0"}
        age(50)
        assert look(str(python.python))[1] == {"numpy": "2.1.0", "scipy": "1.0"}
        (python.site / "numpy-2.1.0.dist-info").rename(python.site / "numpy-2.2.0.dist-info")
        assert look(str(python.python))[1] == {"numpy": "2.2.0", "scipy": "1.0"}

    def test_install_within_one_clock_tick_is_noticed(self, python: Installation) -> None:
        moment = time.time()
        os.utime(python.site, (moment, moment))
        look(str(python.python))
        python.install("scipy-1.0.dist-info")
        os.utime(python.site, (moment, moment))
        assert "scipy" in look(str(python.python))[1]

    def test_conda_environment_has_its_python_version(self, python: Installation) -> None:
        (python.root / "conda-meta").mkdir()
        (python.root / "conda-meta/python-3.12.7-h1_0.json").write_text("{}")
        assert look(str(python.python))[0]["python"] == "3.12.7"

    def test_five_hundred_packages_are_read_quickly(self, python: Installation) -> None:
        for number in range(500):
            python.install(f"package{number}-1.0.dist-info")
        look(str(python.python))
        started = time.perf_counter()
        assert len(look(str(python.python))[1]) == 501
        assert time.perf_counter() - started < 0.2  # 4 ms on a quiet machine
