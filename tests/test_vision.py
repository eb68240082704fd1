"""torchvision loads beside any build of torch."""

import subprocess
import sys


def test_torchvision_imports_through_the_door_in_a_fresh_process():
    code = "from penumbra.models.vision import resnet; import torchvision.transforms.v2, torchvision.datasets; print(resnet.resnet18().fc)"
    assert "Linear" in subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
