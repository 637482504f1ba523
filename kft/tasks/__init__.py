"""What models are fine-tuned to do: a task owns everything between labels and a person."""

from kft.tasks.classification import Classification, MultiLabel
from kft.tasks.regression import Regression
from kft.tasks.several import Several
from kft.tasks.task import Task

__all__ = ["Classification", "MultiLabel", "Regression", "Several", "Task"]
