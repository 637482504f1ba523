"""`kft demo`: the benefit of staged fine-tuning, shown on handwritten digits without a network."""

from kft.cli.demo.run import run_demo

__all__ = ["run_demo"]
