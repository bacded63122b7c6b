"""Decoy attacks: one table of pure functions with one contract, see task.py.

To add an attack, write its function `(keys, task, *, setting=default) -> Found` in a new file of this folder, and add
an entry in table.py.
"""

from cganjax.decoys.attacks.table import METHODS, check  # noqa: F401
from cganjax.decoys.attacks.task import Found, Method, Task, Value  # noqa: F401
