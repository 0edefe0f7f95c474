"""Planning a run for hardware that need not be present: does it fit, how fast is it."""

from vit_jax.plan.estimate import Plan, make_plan
from vit_jax.plan.report import draw_memory, format_plan, format_plans
from vit_jax.plan.search import search_plans

__all__ = [
    "Plan",
    "draw_memory",
    "format_plan",
    "format_plans",
    "make_plan",
    "search_plans",
]
