"""The golden files of the chart: what it renders from the values of each version of the reference's chart.

python -m tests.support.chart_golden --write     writes them anew; look at the difference before you commit it

They hold the objects sorted by kind and name, with sorted fields, and without the chart's own version.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import yaml

from tests.support.helm_chart import PROVIDERS, ROOT, VERSIONS, Object, Rendering, of_version

GOLDEN = ROOT / "tests" / "chart" / "golden"
CASES = tuple(product(VERSIONS, PROVIDERS))
VERSION_LABELS = ("app.kubernetes.io/version", "helm.sh/chart")


def golden_file(version: str, provider: str) -> Path:
    """Where the objects of that case are."""
    return GOLDEN / f"{version}-{provider}.yaml"


def normalised(rendering: Rendering) -> str:
    """The text that is compared."""
    ordered = sorted(rendering, key=lambda each: (each["kind"], each["metadata"]["name"]))
    return yaml.safe_dump_all([_without_versions(each) for each in ordered], width=120, sort_keys=True)


def _without_versions(described: Object) -> Object:
    labels = {key: text for key, text in described["metadata"]["labels"].items() if key not in VERSION_LABELS}
    return {**described, "metadata": {**described["metadata"], "labels": labels}}


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.chart_golden", description="the golden files")
    parser.add_argument("--write", action="store_true", required=True, help="write the files")
    parser.parse_args(arguments)
    for version, provider in CASES:
        golden_file(version, provider).write_text(normalised(of_version(version, provider)))


if __name__ == "__main__":
    main(sys.argv[1:])
