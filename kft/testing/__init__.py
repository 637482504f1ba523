"""Contract tests for recipes, tasks and callbacks of one's own: what kft's own are held to."""

from kft.testing.callbacks import check_callback
from kft.testing.checks import ContractError
from kft.testing.recipes import STEPS, check_recipe
from kft.testing.tasks import check_task

__all__ = ["STEPS", "ContractError", "check_callback", "check_recipe", "check_task"]
