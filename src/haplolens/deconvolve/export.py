"""The network as ONNX, and the proof that it answers as torch does."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from haplolens.deconvolve.network import Batch, Deconvolver
from haplolens.deconvolve.pool import Stored, stack
from haplolens.deconvolve.training import to_tensors
from haplolens.errors import HaplolensError

PARITY = 1e-5
"""Largest difference between a probability of ONNX and of torch."""


def export_onnx(network: Deconvolver, examples: Sequence[Stored], path: Path) -> float:
    """Write the network for onnxruntime, any number of regions and variants.

    Parameters
    ----------
    network
        Trained.
    examples
        Regions of several sizes, on which both are compared.
    path
        ``network.onnx``.

    Returns
    -------
    float
        Largest difference of a probability.

    Raises
    ------
    HaplolensError
        If it is above `PARITY`.
    """
    batch = to_tensors(stack(examples[:2]))
    fed = tuple(batch[name] for name in Batch._fields)
    regions, variants = torch.export.Dim("regions", min=1), torch.export.Dim("n_variants", min=2, max=4096)
    following = torch.export.Dim("n_outcomes", min=3, max=4097)
    axes = (
        {0: regions, 1: variants}, {0: regions, 2: variants, 3: variants}, {0: regions, 2: variants},
        {0: regions, 2: following}, {0: regions, 1: variants}, {0: regions}, {0: regions, 1: variants},
    )  # fmt: skip
    told = logging.getLogger("torch.onnx")
    level = told.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told.setLevel(logging.ERROR)  # it tells which other packages it would know the operators of
        try:
            program = torch.onnx.export(
                network.eval(), fed, dynamo=True, dynamic_shapes=axes, input_names=list(Batch._fields),
                output_names=["log_slots", "log_modes"], verbose=False, external_data=False,
            )  # fmt: skip
        finally:
            told.setLevel(level)
    assert program is not None
    program.save(str(path), external_data=False)
    worst = max(_difference(network, path, [example]) for example in examples)
    if worst > PARITY:
        raise HaplolensError(
            f"ONNX and torch differ by {worst:.1e}, more than {PARITY:g}; nothing should ship like this"
        )
    return worst


def _difference(network: Deconvolver, path: Path, examples: Sequence[Stored]) -> float:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = stack(examples)
    with torch.no_grad():
        ours = network(*(to_tensors(batch)[name] for name in Batch._fields))
    theirs = session.run(None, {name: batch[name] for name in Batch._fields})
    return max(float(np.abs(np.exp(a.numpy()) - np.exp(b)).max()) for a, b in zip(ours, theirs, strict=True))
