"""The deconvolver at work: one region in, a calibrated posterior out. Runs on ONNX, without torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import onnxruntime

from haplolens.deconvolve.familiar import Familiar, describe, read_familiar
from haplolens.deconvolve.features import MORE, SWAPPED, Inputs, check_reads, read_inputs
from haplolens.errors import InputError
from haplolens.finemap.encodings import UNRESOLVED, EncodedColumns
from haplolens.finemap.posterior import Refined, RegionTrait, VariantPosterior
from haplolens.finemap.priors import Learned

FEWEST, MOST = 2, 2000
"""Variants of a region that the network reads."""
_FIELDS = ("variants", "pairs", "slots", "start", "modes", "context")
_OF_ALT = [*SWAPPED, UNRESOLVED]
SAME = 0.9999
"""Variants in more LD than this, in the additive and in their best columns, get the same answer.

The Gram matrix is in float32: of two copies of a variant, one with its alleles swapped, it says up to 4e-5 less than 1.
"""


class Deconvolver:
    """Goes over SuSiE's posterior of a region; see `finemap.posterior.Refine`.

    Parameters
    ----------
    model
        ONNX file, or its bytes.
    familiar
        Where its training regions lie; None trusts it everywhere.

    Raises
    ------
    InputError
        If the network was trained to read other numbers of a region than this version gives.
    """

    reads_beside = True  # see `finemap.posterior.Refine`

    def __init__(self, model: Path | bytes, familiar: Familiar | None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        inputs = {one.name: one.shape[-1] for one in self.session.get_inputs()}
        check_reads([inputs[name] for name in ("variants", "slots", "context")])
        self.familiar = familiar

    @classmethod
    def load(cls, folder: Path) -> Deconvolver:
        """What `haplolens deconvolve train` or `adapt` wrote: ``network.onnx`` and ``network.json``.

        Raises
        ------
        InputError
            If one of them is not there.
        """
        for name in ("network.onnx", "network.json"):
            if not (folder / name).is_file():
                raise InputError(
                    f"`{folder}` has no `{name}`; name a folder that `haplolens deconvolve` wrote"
                )
        about = json.loads((folder / "network.json").read_text())
        return cls(folder / "network.onnx", read_familiar(about.get("familiar")))

    @staticmethod
    @cache
    def shipped() -> Deconvolver:
        """The one that comes with the package."""
        with as_file(files("haplolens.deconvolve") / "weights") as folder:
            if not (folder / "network.onnx").is_file():
                raise InputError(
                    "this installation lacks the network's weights; install it again, or use --posterior susie"
                )
            return Deconvolver.load(folder)

    def __call__(
        self,
        columns: EncodedColumns,
        trait: RegionTrait,
        found: VariantPosterior,
        learned: Learned,
        expected_causes: float,
    ) -> Refined:
        """The network's posterior, or SuSiE's own where the region is unlike any it was trained on."""
        n_variants = columns.factor.shape[1]
        if not FEWEST <= n_variants <= MOST:
            return Refined(found, f"the network reads {FEWEST} to {MOST:,} variants, this has {n_variants:,}")
        inputs = read_inputs(columns, trait, found, learned, expected_causes)
        if self.familiar is not None and (why := self.familiar.stranger(describe(inputs))):
            return Refined(found, why)
        log_slots, log_modes = self.run([inputs])[0]
        if not (np.isfinite(log_slots).all() and np.isfinite(log_modes).all()):
            return Refined(found, "the network returned no number")
        return Refined(_posterior(found, columns, inputs, log_slots, log_modes))

    def run(self, regions: Sequence[Inputs]) -> list[tuple[np.ndarray, np.ndarray]]:
        """(S, 1 + V) log slots and (V, 5) log modes of regions of one size."""
        fed = {name: np.stack([getattr(one, name) for one in regions]).astype(np.float32) for name in _FIELDS}
        fed["there"] = np.ones(fed["variants"].shape[:2], np.float32)
        slots, modes = self.session.run(None, fed)
        return list(zip(slots, modes, strict=True))


def _posterior(
    found: VariantPosterior,
    columns: EncodedColumns,
    inputs: Inputs,
    log_slots: np.ndarray,
    log_modes: np.ndarray,
) -> VariantPosterior:
    """Slots as single effects: SuSiE's keep their place, further ones follow, those beyond the slots stay."""
    usable = columns.usable
    alike = _alike(inputs.pairs)
    share = _shared(np.exp(log_slots[:, 1:].astype(float)) * usable, alike)
    modes = np.exp(log_modes.T.astype(float))
    modes = np.where(inputs.swapped, modes[_OF_ALT], modes)
    alpha = found.alpha.copy()
    kept = inputs.effects >= 0
    alpha[inputs.effects[kept]] = share[kept]
    extra = share[inputs.effects == MORE]
    n_further = len(extra)
    column = np.concatenate([found.column, np.repeat(_best_column(columns)[None], n_further, axis=0)])
    alpha = np.concatenate([alpha, extra])
    none = np.zeros(
        (n_further, found.coefficient.shape[1] if len(found.coefficient) else columns.gram.n_columns)
    )
    return replace(
        found,
        alpha=alpha,
        further=np.zeros(len(usable)),
        column=column,
        coefficient=np.concatenate([found.coefficient.reshape(-1, none.shape[1]), none]),
        lbf=np.concatenate([found.lbf, np.zeros(n_further)]),
        modes=modes,
        effect_mode=(alpha @ modes.T).argmax(axis=1),
        n_further=n_further,
        evidence=np.concatenate([found.evidence.reshape(-1, 4), np.ones((n_further, 4))]),
    )


def _alike(pairs: np.ndarray) -> np.ndarray:
    """(V,) first variant that each one cannot be told from."""
    return ((np.abs(pairs) > SAME).all(axis=0) | np.eye(pairs.shape[1], dtype=bool)).argmax(axis=1)


def _shared(share: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Rows (S, V) with what variants that are alike hold together dealt out evenly: a convolution tells them apart."""
    counts = np.bincount(alike, minlength=len(alike))
    total = np.zeros_like(share)
    np.add.at(total, (slice(None), alike), share)
    return total[:, alike] / counts[alike]


def _best_column(columns: EncodedColumns) -> np.ndarray:
    """(V,) the encoding in which each variant scores best."""
    return np.where(columns.factor > 0, columns.xty.reshape(columns.factor.shape) ** 2, -1.0).argmax(axis=0)
