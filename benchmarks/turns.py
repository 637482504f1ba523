"""Measurements of several ways to do one job, each in its own process, in turns."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Outcomes = dict[str, list[dict[str, Any]]]


def turns_parser(doc: str) -> argparse.ArgumentParser:
    """Return a parser with the options of all such scripts and those that `in_turns` adds."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3, help="repetitions, a seed each")
    parser.add_argument("--limit", type=int, help="train on this many examples only, for a trial")
    parser.add_argument("--out", help="a JSON file for the result")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_text_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the paths of the texts and the model."""
    parser.add_argument("--data", required=True, help="a folder with train.tsv and test.tsv")
    parser.add_argument("--preset", required=True, help="MiniLM-L6 as a Hugging Face folder")


def in_turns(
    ways: Mapping[str, Mapping[str, str]], rounds: int, arguments: Sequence[str] = ()
) -> Outcomes:
    """Run the current script once for each way and round, with `--way` and `--seed` added.

    Args:
        ways: The environment variables that each way adds, by its name.
        rounds: The number of rounds; each has its own seed, and every other one the reverse order.
        arguments: The arguments. Defaults to those of this process.

    Returns:
        The last line that each process printed, as JSON, by way and round.
    """
    found: Outcomes = {way: [] for way in ways}
    for index in range(rounds):
        for way in list(ways)[:: -1 if index % 2 else 1]:
            command = [sys.executable, sys.argv[0], *(arguments or sys.argv[1:])]
            command += ["--way", way, "--seed", str(index)]
            done = subprocess.run(
                command, env=os.environ | dict(ways[way]), text=True, stdout=subprocess.PIPE
            )
            if done.returncode:
                sys.exit(f"{way} ended with exit code {done.returncode}:\n{done.stdout}")
            found[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"round {index + 1}, {way}: {found[way][-1]}", flush=True)
    return found


def table(outcomes: Outcomes, peer: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return columns and rows: seconds of each way, accuracies, and how many times faster than the peer.

    Args:
        outcomes: What `in_turns` returned; each has `seconds` and perhaps `accuracy`.
        peer: The way with which the others are compared, round by round.
    """
    rows = []
    for way, runs in outcomes.items():
        ratios = [
            other["seconds"] / one["seconds"]
            for other, one in zip(outcomes[peer], runs, strict=True)
        ]
        rows.append(
            (
                way,
                spread([one["seconds"] for one in runs], ".0f"),
                spread([one["accuracy"] for one in runs], ".3f") if "accuracy" in runs[0] else "",
                "" if way == peer else spread(ratios, ".1f"),
            )
        )
    return ("", "seconds", "accuracy", "times faster"), rows


def spread(values: Sequence[float], form: str) -> str:
    """Return the median, with the minimum and maximum if there are several values."""
    middle = format(statistics.median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({format(min(values), form)} to {format(max(values), form)})"
