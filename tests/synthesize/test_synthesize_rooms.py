"""What a room says of its method without torch, and that assembling needs none."""

import subprocess
import sys

import pytest

from penumbra.synthesize import none
from penumbra.synthesize.badood import plan as badood
from penumbra.synthesize.boundarygan import plan as boundarygan
from penumbra.synthesize.control import plan as control
from penumbra.synthesize.decoded import plan as decoded
from penumbra.synthesize.dreamood import plan as dreamood
from penumbra.synthesize.fakeit import plan as fakeit
from penumbra.synthesize.good import plan as good
from penumbra.synthesize.moved import plan as moved
from penumbra.synthesize.real import plan as real
from penumbra.synthesize.sona import plan as sona
from penumbra.synthesize.synood import plan as synood

PLANS = [none, badood, boundarygan, control, decoded, dreamood, fakeit, good, moved, real, sona, synood]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.__name__)
def test_every_room_names_columns_that_trace_a_row(plan):
    assert list(plan.COLUMNS)[:3] == ["sample_id", "source_id", "label"]
    assert "image" not in plan.COLUMNS
    assert list(plan.COLUMNS)[-1] == "seed" or plan is none


def test_plans_need_no_torch():
    names = ", ".join(plan.__name__ for plan in PLANS)
    told = subprocess.run([sys.executable, "-c", f"import sys, {names}; print('torch' in sys.modules)"], capture_output=True, text=True)
    assert told.stdout == "False\n", told.stderr
