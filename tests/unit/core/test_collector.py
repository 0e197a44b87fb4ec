"""What is set aside for good, in a process of its own: in this one nothing else would be collected any more."""

import subprocess
import sys

LOOK = """
import gc
from bot.core.collector import tune_for_serving

class Cycle:
    alive = 0
    def __init__(self): self.own = self; Cycle.alive += 1
    def __del__(self): Cycle.alive -= 1

before, garbage, kept = len(gc.get_objects()), Cycle(), Cycle()
del garbage
tune_for_serving()
print(Cycle.alive, len(gc.get_objects()) < 100 < before, gc.get_freeze_count() > before / 2)
later = Cycle()
del later
gc.collect()
print(Cycle.alive, gc.isenabled(), gc.get_threshold())
"""


def test_what_is_built_is_set_aside_without_its_garbage_and_later_garbage_is_collected() -> None:
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)  # noqa: S603
    assert said.stdout.splitlines() == ["1 True True", "1 True (10000, 10, 10)"]
