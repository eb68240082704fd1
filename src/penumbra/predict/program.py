"""A detector as a file that opens without Penumbra: ONNX, or a program of torch.export."""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import Dim, ExportedProgram

from penumbra.errors import PenumbraError
from penumbra.predict.detector import TrainedDetector
from penumbra.predict.graph import OUTPUTS, Graph

NEEDED = ("onnx", "onnxruntime", "onnxscript")
LARGEST = 1024  # images at a time that the program of torch takes: scores go block by block, and one block is traced
FAR = 1e-3  # a difference from Penumbra above which a graph is wrong, and not only rounded in another way
INPUT = "images"


def require_onnx() -> None:
    """Look before the work whether ONNX can be written and tried.

    Raises:
        PenumbraError: a package is not installed.
    """
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise PenumbraError(f"--onnx: {' and '.join(missing)} not installed. Run `pip install penumbra[export]`.")


def program(detector: TrainedDetector) -> ExportedProgram:
    """The whole of a detector on the CPU, as torch.export writes it down: no code of Penumbra is left in it.

    Raises:
        PenumbraError: its network or its headline score does what torch.export cannot follow.
    """
    graph, size = Graph(detector).eval(), detector.image_size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with torch.no_grad(), _quiet():
        try:
            found = torch.export.export(graph, (example,), dynamic_shapes={INPUT: {0: Dim("batch", min=1, max=LARGEST)}})
        except PenumbraError:
            raise
        except Exception as error:  # it has no exception of its own for what it cannot follow
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise PenumbraError(
                f"detector {detector.name}: torch.export cannot follow its network, or its score {detector.score} ({reason}). Export "
                "without --onnx and --torch, or with benchmark.score set to energy."
            ) from error
    for node in found.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of our files, where they lay
    return found


def write_torch(path: Path, detector: TrainedDetector, written: ExportedProgram) -> float:
    """Write it for `torch.export.load(path).module()`; what the outputs mean lies in it as penumbra.json.

    Returns:
        the largest difference from `TrainedDetector.predict` on some pictures.

    Raises:
        PenumbraError: it says something else.
    """
    with _quiet():
        content = io.BytesIO()  # torch's own writer aborts the process where the disk is full
        torch.export.save(written, content, extra_files={"penumbra.json": json.dumps(_meaning(detector))})
        path.write_bytes(content.getbuffer())
        module = torch.export.load(path).module()
    return _compared(detector, "--torch", lambda pixels: {name: out.numpy() for name, out in module(torch.from_numpy(pixels)).items()})


def write_onnx(path: Path, detector: TrainedDetector, written: ExportedProgram) -> float:
    """Write one ONNX file; what the outputs mean lies in its metadata. Returns and raises as `write_torch`."""
    import onnxruntime

    with _quiet():
        made = torch.onnx.export(written, dynamo=True, verbose=False, input_names=[INPUT], output_names=list(OUTPUTS))
        made.model.metadata_props.update(
            {key: value if isinstance(value, str) else json.dumps(value) for key, value in _meaning(detector).items()}
        )
        for node in made.model.graph.all_nodes():
            node.metadata_props.clear()  # where in our code it comes from
        made.save(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return _compared(detector, "--onnx", lambda pixels: dict(zip(OUTPUTS, session.run(list(OUTPUTS), {INPUT: pixels}), strict=True)))


def _meaning(detector: TrainedDetector) -> dict[str, Any]:
    config = detector.contents.config
    return {key: config[key] for key in ("name", "classes", "image_size", "preprocessing", "score", "thresholds")}


def _compared(detector: TrainedDetector, option: str, ask: Callable[[np.ndarray], dict[str, np.ndarray]]) -> float:
    """The largest difference on pictures of several kinds."""
    pixels = _pictures(detector.image_size)
    found, wanted = ask(pixels), detector.predict(pixels)
    differences = [np.abs(found[name] - wanted[name]) / np.maximum(1, np.abs(wanted[name])) for name in ("score", "p_ood")]
    largest = float(np.max(differences))
    classes = [detector.classes[label] for label in found["probabilities"].argmax(1)]
    if not largest <= FAR or classes != wanted.predicted.tolist():
        raise PenumbraError(
            f"detector {detector.name}: the graph of {option} says something else than Penumbra (difference {largest:.2g}), so it is not "
            "written. Export without it."
        )
    return largest


def _pictures(size: int) -> np.ndarray:
    """Noise of rising contrast, slopes and even grey: uint8 [16, S, S, 3]."""
    draws, way = np.random.default_rng(0), np.linspace(0, 255, size)
    noise = [128 + draws.uniform(-contrast, contrast, (size, size, 3)) for contrast in np.linspace(8, 127, 8)]
    slopes = [np.broadcast_to(slope[..., None], (size, size, 3)) for slope in (np.add.outer(way, way) / 2, np.outer(way, way) / 255)]
    even = [np.full((size, size, 3), grey) for grey in np.linspace(0, 255, 6)]
    return np.stack([*noise, *slopes, *even]).astype(np.uint8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporters have to say of themselves."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir", "torch.onnx")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
