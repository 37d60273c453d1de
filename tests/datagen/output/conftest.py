"""What the output's tests share."""

from instant_tasks import instant  # noqa: F401  (a fixture)
