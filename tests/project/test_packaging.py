"""
Every way of installing ccstore lets twistd find it, and taking it away again leaves Twisted whole.

Nothing is downloaded: a fresh environment gets copies of the distributions that the running one has, so that
the plugin file lies in Twisted's own directory there, as it does on a real machine.
"""

from __future__ import annotations

import ctypes
import email
import os
import pwd
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.support.running_daemon import ROOT

PLUGIN = "twisted/plugins/ccstore_plugin.py"
BUILD_TOOLS = ["setuptools", "wheel"]

# No setting of pip's, and no path of Python's, reaches the environments.
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
ENVIRON |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"}

#: What is installed outside of site-packages, besides samples and scripts.
SHARED = {
    "share/man/man1/ccstore.1",
    "share/bash-completion/completions/ccstore",
    "share/zsh/site-functions/_ccstore",
}

# The script that Twisted would have installed; it names neither the working directory nor the checkout.
TWISTD = "from twisted.scripts.twistd import run\nrun()\n"


def call(*command: str | Path, cwd: Path, **more: Any) -> str:
    """Run a command that must succeed, and give what it wrote."""
    more.setdefault("env", ENVIRON)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
        **more,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def files_under(directory: Path) -> set[str]:
    """The files below a directory, without what merely running Python or twistd leaves there."""
    return {
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if path.is_file() and path.name != "dropin.cache" and "__pycache__" not in path.parts
    }


def distributions(names: list[str]) -> Iterator[metadata.Distribution]:
    """The installed distributions that these requirements lead to, themselves included."""
    wanted = [(Requirement(name), {"extra": ""}) for name in names]
    seen = set()
    while wanted:
        requirement, extra = wanted.pop()
        if requirement.marker is not None and not requirement.marker.evaluate(extra):
            continue
        distribution = metadata.distribution(requirement.name)
        for name in ["", *sorted(requirement.extras)]:
            if (requirement.name.lower(), name) not in seen:
                seen.add((requirement.name.lower(), name))
                wanted += [(Requirement(text), {"extra": name}) for text in distribution.requires or []]
        yield distribution


class Environment:
    """A virtual environment with all that ccstore needs, but without ccstore."""

    def __init__(self, directory: Path, requirements: list[str]) -> None:
        self.directory = directory
        self.elsewhere = directory / "elsewhere"
        self.bin = directory / "bin"
        self.python = self.bin / "python"
        call(sys.executable, "-m", "venv", "--without-pip", directory, cwd=ROOT)
        self.elsewhere.mkdir()
        (self.site_packages,) = directory.glob("lib/python*/site-packages")
        for distribution in distributions(requirements):
            for file in distribution.files or []:
                source, target = Path(distribution.locate_file(file)), self.site_packages / file
                # What lies outside are scripts, bound to the environment they come from.
                if ".." not in file.parts and source.is_file():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, target)
        (self.bin / "twistd").write_text(TWISTD)
        self.before = files_under(self.site_packages)

    def pip(self, *arguments: str | Path) -> None:
        call(sys.executable, "-m", "pip", "--python", self.python, *arguments, cwd=self.elsewhere)

    def install(self, *what: str | Path) -> None:
        self.pip("install", "--no-deps", "--no-build-isolation", *what)

    def twistd(self, **more: Any) -> str:
        """What `twistd --help` says."""
        return call(self.python, self.bin / "twistd", "--help", cwd=self.elsewhere, **more)

    def check_installed(self) -> None:
        assert "    ccstore " in self.twistd()
        assert "Usage: ccstore COMMAND" in call(self.bin / "ccstore", "--help", cwd=self.elsewhere)
        assert "Usage: ccstore run [options]" in call(
            self.bin / "ccstore", "run", "--help", cwd=self.elsewhere
        )
        assert "Usage: ccstore run [options]" in call(
            self.python, "-m", "ccstore", "run", "--help", cwd=self.elsewhere
        )
        self.pip("check")

    def check_uninstalled(self) -> None:
        assert files_under(self.site_packages) == self.before
        assert not (self.bin / "ccstore").exists()
        usage = self.twistd()
        assert "Commands:" in usage
        assert "ccstore" not in usage
        whole = "import twisted.plugins, twisted.application.service, twisted.internet.reactor"
        call(self.python, "-c", whole, cwd=self.elsewhere)


def samples(checkout: Path) -> set[str]:
    """Where the samples of the configuration go."""
    return {f"share/doc/ccstore/conf/{name}" for name in files_under(checkout / "conf")}


@pytest.fixture(scope="module")
def workplace() -> Iterator[Path]:
    """A directory that other users can enter, which pytest's own does not let them."""
    directory = Path(tempfile.mkdtemp(prefix="ccstore packaging ")).resolve()
    directory.chmod(0o755)
    yield directory
    call("chmod", "-R", "u+w", directory, cwd=ROOT)
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def checkout(workplace: Path) -> Path:
    """A copy of what belongs to the project, and what an earlier build may have left behind."""
    copy = workplace / "checkout"
    listing = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        # git by itself refuses to read what belongs to another user.
        listed = call("git", "-c", f"safe.directory={ROOT}", *listing, cwd=ROOT)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)
    else:
        leftovers = (".venv*", ".tox", "build", "dist", "*.egg-info", "__pycache__", "*.db")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*leftovers))
    stale = copy / "build" / "lib" / "ccstore"
    stale.mkdir(parents=True)
    (stale / "deleted.py").write_text("raise SystemError('this was deleted long ago')\n")
    return copy


@pytest.fixture(scope="module")
def artefacts(workplace: Path, checkout: Path) -> dict[str, Path]:
    """An sdist, and the wheel that is built from the sdist and not from the checkout."""
    out = workplace / "dist"
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout, cwd=workplace)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel, "directory": checkout}


@pytest.fixture(scope="module")
def requirements(artefacts: dict[str, Path]) -> list[str]:
    """What ccstore itself says that it needs."""
    with zipfile.ZipFile(artefacts["wheel"]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        message = email.message_from_bytes(wheel.read(name))
    assert "service-identity" in {Requirement(text).name for text in message.get_all("Requires-Dist", [])}
    return [text for text in message.get_all("Requires-Dist", []) if "extra ==" not in text]


@pytest.fixture
def environment(workplace: Path, requirements: list[str]) -> Iterator[Environment]:
    directory = Path(tempfile.mkdtemp(prefix="environment ", dir=workplace))
    directory.chmod(0o755)
    yield Environment(directory, requirements)
    call("chmod", "-R", "u+w", directory, cwd=ROOT)
    shutil.rmtree(directory)


def test_the_wheel_holds_the_package_the_plugin_what_is_shared_and_nothing_else(
    artefacts: dict[str, Path], checkout: Path
) -> None:
    with zipfile.ZipFile(artefacts["wheel"]) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
        described = {name.partition(".dist-info/")[2] for name in wheel.namelist() if name not in packed}
    shared = {name for name in packed if ".data/" in name}
    packed -= shared
    assert {name.partition(".data/data/")[2] for name in shared} == SHARED | samples(checkout)
    assert packed == {f"ccstore/{name}" for name in files_under(checkout / "ccstore")} | {PLUGIN}
    assert {"METADATA", "entry_points.txt", "RECORD"} <= described
    assert described & {"LICENSE", "licenses/LICENSE"}


def test_the_sdist_holds_the_whole_project(artefacts: dict[str, Path], checkout: Path) -> None:
    with tarfile.open(artefacts["sdist"]) as sdist:
        packed = {name.partition("/")[2] for name in sdist.getnames()}
    for directory in ("ccstore", "twisted", "tests", "conf", "docs", "benchmarks"):
        assert {f"{directory}/{name}" for name in files_under(checkout / directory)} <= packed
    assert {"LICENSE", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"} <= packed
    assert {"pyproject.toml", "setup.py", "tox.ini", ".ci/run", ".github/workflows/tests.yml"} <= packed
    assert "build/lib/ccstore/deleted.py" not in packed
    assert "twisted/plugins/__init__.py" not in packed


def test_a_wheel_comes_and_goes(artefacts: dict[str, Path], environment: Environment, checkout: Path) -> None:
    environment.check_uninstalled()
    environment.install(artefacts["wheel"])
    environment.check_installed()
    installed = environment.site_packages / "ccstore"
    assert files_under(installed) == files_under(checkout / "ccstore")
    assert (environment.site_packages / PLUGIN).is_file()
    shared = SHARED | samples(checkout)
    assert all((environment.directory / name).is_file() for name in shared)
    script = call(environment.bin / "ccstore", "completion", "bash", cwd=environment.elsewhere)
    assert script == (environment.directory / "share/bash-completion/completions/ccstore").read_text()
    environment.pip("uninstall", "--yes", "ccstore")
    environment.check_uninstalled()
    assert not any((environment.directory / name).exists() for name in shared)


@pytest.mark.parametrize(
    ("form", "options"),
    [("sdist", []), ("directory", []), ("directory", ["--editable"])],
    ids=["sdist", "directory", "editable"],
)
def test_a_source_comes_and_goes(
    artefacts: dict[str, Path],
    workplace: Path,
    requirements: list[str],
    form: str,
    options: list[str],
) -> None:
    environment = Environment(workplace / f"from {form} {len(options)}", [*requirements, *BUILD_TOOLS])
    environment.install(*options, artefacts[form])
    environment.check_installed()
    assert not (environment.site_packages / "ccstore" / "deleted.py").exists()
    environment.pip("uninstall", "--yes", "ccstore")
    environment.check_uninstalled()


def test_a_checkout_runs_without_being_installed(environment: Environment, checkout: Path) -> None:
    here = {**ENVIRON, "PYTHONPATH": str(checkout)}
    assert "    ccstore " in environment.twistd(env=here)
    assert "Usage: ccstore COMMAND" in call(environment.python, "-m", "ccstore", "--help", cwd=checkout)
    assert "Usage: ccstore run [options]" in call(
        environment.python, "-m", "ccstore", "run", "--help", cwd=checkout
    )


def test_the_plugin_is_found_from_a_checkout_that_is_not_on_the_path(
    environment: Environment, checkout: Path
) -> None:
    # The way of an editable installation that maps single packages.
    program = (
        "import importlib.util, sys\n"
        "init = sys.argv.pop(1)\n"
        "spec = importlib.util.spec_from_file_location('ccstore', init)\n"
        "sys.modules['ccstore'] = module = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(module)\n"
        "from ccstore.cli import main\n"
        "sys.exit(main())\n"
    )
    script = environment.bin / "mapped"
    script.write_text(program)
    init = checkout / "ccstore" / "__init__.py"
    said = call(environment.python, script, init, "run", "--help", cwd=environment.elsewhere)
    assert "Usage: ccstore run [options]" in said


def without_privileges(python: Path) -> dict[str, Any]:
    """
    How to run a process that is held to the permissions of files.

    For an ordinary user that is any process. Root becomes `nobody`; and where that user cannot even reach the
    interpreter, root stays root but loses the capabilities that put it above permissions.
    """
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    become: dict[str, Any] = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        subprocess.run([str(python), "-c", ""], check=True, capture_output=True, timeout=120, **become)
    except (PermissionError, subprocess.CalledProcessError):
        return {"preexec_fn": drop_override()}
    return become


def drop_override() -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def drop() -> None:
        for capability in (1, 2, 3):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
            if prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "cannot drop a capability")

    return drop


def test_it_runs_as_a_user_who_cannot_write_to_site_packages(
    artefacts: dict[str, Path], environment: Environment
) -> None:
    environment.install(artefacts["wheel"])
    call("chmod", "-R", "a+rX,a-w", environment.directory, cwd=ROOT)
    other = without_privileges(environment.python)
    attempt = "import sys\ntry: open(sys.argv[1], 'w')\nexcept PermissionError: print('no')\n"
    target = environment.site_packages / "twisted" / "plugins" / "dropin.cache"
    assert not target.exists()
    said = call(environment.python, "-c", attempt, target, cwd=environment.elsewhere, **other)
    assert said == "no\n", "this user can write after all, and the test shows nothing"
    assert "    ccstore " in environment.twistd(**other)
    said = call(environment.bin / "ccstore", "run", "--help", cwd=environment.elsewhere, **other)
    assert "Usage: ccstore run [options]" in said
    assert "Traceback" not in said
    assert not target.exists()
