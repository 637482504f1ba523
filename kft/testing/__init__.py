"""Contract tests for your own recipes, tasks and callbacks, which kft's own pass too."""

from kft.testing.callbacks import check_callback
from kft.testing.checks import ContractError
from kft.testing.recipes import STEPS, check_recipe
from kft.testing.tasks import check_task

__all__ = ["STEPS", "ContractError", "check_callback", "check_recipe", "check_task"]
