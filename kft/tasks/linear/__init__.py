"""Linear heads solved on fixed features instead of trained by gradient steps."""

from kft.tasks.linear.losses import Loss, Sigmoid, Softmax, Squares
from kft.tasks.linear.solve import Solved, solve
from kft.tasks.linear.temperature import temperature

__all__ = ["Loss", "Sigmoid", "Softmax", "Solved", "Squares", "solve", "temperature"]
