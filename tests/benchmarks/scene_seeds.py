"""The arguments of the benchmarks on rendered scenes."""

import argparse


def seeds_asked(description: str | None) -> list[int]:
    """The seeds of the scenes of each family that the command line asks for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--scenes", type=int, default=12, help="of each family and seed")
    arguments = parser.parse_args()
    return [seed * 100_000 + index for seed in arguments.seed for index in range(arguments.scenes)]
