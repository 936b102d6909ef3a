"""The training loop: reproducible from its seed, resumable after a kill, with a log of what was reached."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.exam import Exam
from image_search.embedding.models import ModelSpec
from image_search.embedding.preprocess import preprocess
from image_search.interfaces import FloatArray
from training.augment import view
from training.material import Material
from training.network import Shape, Student
from training.pictures import Pack, TrainingError
from training.warm_start import warm_start

LOG = logging.getLogger("training")

CHECKPOINT_EVERY_S = 120
_WARM_BATCHES = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides what comes out; a checkpoint is only continued with the plan that began it."""

    samples: int
    """Views to be seen in all."""
    batch: int = 128
    sizes: tuple[tuple[int, float], ...] = ((96, 0.65), (128, 0.35))
    """Edge of the views and the share of the training that sees them, in order: small ones first are cheap."""
    muon_lr: float = 0.008
    adam_lr: float = 0.002
    weight_decay: float = 0.05
    warm_up: float = 0.04
    cool_down: float = 0.45
    """Shares of the training in which the rate rises from 0 and falls to 0, linearly."""
    damping: float = 0.25
    """Of the targets, see `targets.Targets`."""
    similarity_weight: float = 4.0
    average: float = 0.998
    """Decay per step of the running average of the weights; the average is what is exported."""
    seed: int = 1
    shape: Shape = field(default_factory=Shape)

    def rate(self, step: int, steps: int) -> float:
        """Factor on the learning rates at a step."""
        progress = (step + 0.5) / steps
        return max(0.0, min(1.0, progress / self.warm_up, (1.0 - progress) / self.cool_down))

    def edge(self, step: int, steps: int) -> int:
        """Edge of the views at a step, in pixels."""
        progress, end = step / steps, 0.0
        for edge, share in self.sizes:
            end += share
            if progress < end:
                return edge
        return self.sizes[-1][0]


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Batches of views and targets; batch i is the same whenever and wherever it is made."""

    def __init__(
        self, packs: Sequence[Pack], targets: FloatArray, order: np.ndarray, plan: Plan, spec: ModelSpec, steps: int
    ) -> None:
        self._packs, self._targets, self._order, self._plan, self._spec = packs, targets, order, plan, spec
        self._steps = steps
        self._starts = np.cumsum([0, *(len(pack) for pack in packs)])

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        plan = self._plan
        edge = plan.edge(step, self._steps)
        spec = replace(self._spec, resize_shortest_px=edge, crop_px=edge)
        rows = self._order[step * plan.batch : (step + 1) * plan.batch]
        rng = np.random.default_rng((plan.seed, step))
        pictures = [self._picture(int(row)) for row in rows]
        prepared = np.stack([preprocess(view(picture, rng, edge), spec) for picture in pictures])
        return torch.from_numpy(prepared), torch.from_numpy(self._targets[rows])

    def _picture(self, row: int) -> Any:
        pack = int(np.searchsorted(self._starts, row, side="right")) - 1
        return self._packs[pack].picture(row - int(self._starts[pack]))


class _From:
    """Steps from `start` on, for a loader that goes on where a killed run stopped."""

    def __init__(self, start: int, end: int) -> None:
        self._range = range(start, end)

    def __iter__(self) -> Iterator[int]:
        return iter(self._range)

    def __len__(self) -> int:
        return len(self._range)


def make_order(counts: Sequence[tuple[np.ndarray, float]], samples: int, seed: int) -> np.ndarray:
    """(samples,) rows: each pass shuffles all pictures, a pack with `times` t coming t times (a part of it for < 1)."""
    rng = np.random.default_rng((seed, 2**32))
    order: list[np.ndarray] = []
    have = 0
    while have < samples:
        one = []
        for rows, times in counts:
            whole = int(times)
            one += [rows] * whole
            if part := times - whole:
                one.append(rng.choice(rows, round(part * len(rows)), replace=False))
        batch = rng.permutation(np.concatenate(one))
        order.append(batch)
        have += len(batch)
    return np.concatenate(order)[:samples]


def distillation_loss(vectors: Tensor, targets: Tensor, plan: Plan) -> Tensor:
    """Mean of 1 - cosine to the target, and the error of the batch's similarities (Tung & Mori 2019).

    vectors, targets: (n, dim) unit rows.
    """
    likeness = 1 - (vectors * targets).sum(dim=1).mean()
    return likeness + plan.similarity_weight * (vectors @ vectors.T - targets @ targets.T).square().mean()


class Trainer:
    """A student, its optimisers, and the running average of its weights."""

    def __init__(self, plan: Plan, device: str) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.device = plan, device
        self.student = Student(plan.shape).to(device, memory_format=torch.channels_last)
        self.average = Student(plan.shape).to(device, memory_format=torch.channels_last)
        self.average.load_state_dict(self.student.state_dict())
        self.average.eval()
        matrices = [p for name, p in self.student.named_parameters() if p.ndim == 2 and name.startswith("blocks.")]
        taken = {id(p) for p in matrices}
        others = [p for p in self.student.parameters() if id(p) not in taken]
        decayed = [p for p in others if p.ndim > 1]
        free = [p for p in others if p.ndim <= 1]
        self.optimisers: list[tuple[torch.optim.Optimizer, float]] = [
            (
                torch.optim.AdamW(
                    [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": free, "weight_decay": 0.0}],
                    lr=plan.adam_lr,
                ),
                plan.adam_lr,
            )
        ]
        # Muon (Jordan et al. 2024) learns the same in two thirds of the steps that AdamW takes here.
        muon = torch.optim.Muon(
            matrices, lr=plan.muon_lr, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"
        )
        self.optimisers.append((muon, plan.muon_lr))
        self.step = 0

    def begin_with(self, path: Path, pictures: Tensor) -> None:
        """Take the weights of an exported file."""
        warm_start(self.student, path, pictures.to(self.device))
        self.average.load_state_dict(self.student.state_dict())

    def learn(self, pictures: Tensor, targets: Tensor, steps: int) -> float:
        """One step; the loss."""
        rate = self.plan.rate(self.step, steps)
        for optimiser, base in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = base * rate
        pictures = pictures.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        targets = targets.to(self.device, non_blocking=True)
        with torch.autocast(self.device, torch.bfloat16):
            vectors = self.student(pictures)
        loss = distillation_loss(vectors, targets, self.plan)
        for optimiser, _ in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser, _ in self.optimisers:
            optimiser.step()
        self.step += 1
        # Young averages forget faster: the first weights are noise.
        decay = min(self.plan.average, self.step / (self.step + 20))
        with torch.no_grad():
            for mean, now in zip(self.average.state_dict().values(), self.student.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)
        return float(loss.detach())

    @torch.inference_mode()
    def embed(self, pictures: FloatArray) -> FloatArray:
        """(n, dim) vectors of prepared pictures (n, 3, h, w), by the averaged weights."""
        batch = torch.from_numpy(pictures).to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16):
            return np.asarray(self.average(batch).float().cpu().numpy())

    def save(self, path: Path) -> None:
        """A checkpoint, whole or not at all."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "plan": json.dumps(asdict(self.plan)),
                "step": self.step,
                "student": self.student.state_dict(),
                "average": self.average.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser, _ in self.optimisers],
            },
            part,
        )
        part.replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint. Raises TrainingError where another plan began it."""
        kept = torch.load(path, map_location=self.device, weights_only=True)
        if kept["plan"] != json.dumps(asdict(self.plan)):
            raise TrainingError(f"{path.name} was begun with other settings: give those, or another --out")
        self.student.load_state_dict(kept["student"])
        self.average.load_state_dict(kept["average"])
        for (optimiser, _), state in zip(self.optimisers, kept["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.step = kept["step"]


def load_student(out: Path) -> Student:
    """The student of a run: the finished one, or before its end the averaged one of the last checkpoint.

    Raises TrainingError where there is neither.
    """
    finished, checkpoint = out / "finished.pt", out / "checkpoint.pt"
    path = finished if finished.is_file() else checkpoint
    if not path.is_file():
        raise TrainingError(f"{out} holds no checkpoint.pt: train first")
    kept = torch.load(path, map_location="cpu", weights_only=True)
    shape = json.loads(kept["plan"])["shape"]
    student = Student(Shape(**{**shape, "widths": tuple(shape["widths"]), "depths": tuple(shape["depths"])}))
    if path == finished:
        student.finish(kept["average"]["head.weight"], kept["average"]["head.bias"])
    student.load_state_dict(kept["average"])
    return student.eval()


def save_finished(student: Student, plan: Plan, out: Path) -> None:
    """Keep a student whose head was fitted."""
    part = out / "finished.part"
    torch.save({"plan": json.dumps(asdict(plan)), "average": student.state_dict()}, part)
    part.replace(out / "finished.pt")


def train(
    material: Material,
    targets: FloatArray,
    plan: Plan,
    spec: ModelSpec,
    out: Path,
    *,
    exam: Exam | None = None,
    exams: int = 6,
    workers: int = 2,
    device: str = "cpu",
    minutes: float = 0,
    initial: Path | None = None,
) -> tuple[Student, bool]:
    """Train by the plan, from the checkpoint in `out` where there is one; the averaged student, and whether it is done.

    `targets` (all pictures of the material, dim). `minutes` > 0 stops earlier, to be resumed. `initial`: an exported
    file to begin with in place of random weights. Raises TrainingError.
    """
    out.mkdir(parents=True, exist_ok=True)
    starts = np.cumsum([0, *(len(pack) for pack in material.packs)])
    counts = [
        (start + np.flatnonzero(~kept), share)
        for start, kept, share in zip(starts[:-1], material.kept_out, material.times, strict=True)
    ]
    if not sum(len(rows) for rows, _ in counts):
        raise TrainingError("no pictures are left to train on")
    order = make_order(counts, plan.samples, plan.seed)
    steps = plan.samples // plan.batch
    trainer = Trainer(plan, device)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.resume(checkpoint)
        LOG.info("going on at step %d of %d", trainer.step, steps)
    views = Views(material.packs, targets, order, plan, spec, steps)
    if initial is not None and not trainer.step:
        trainer.begin_with(initial, torch.cat([views[step][0] for step in range(min(steps, _WARM_BATCHES))]))
    LOG.info("%d pictures, %d steps of %d", sum(len(rows) for rows, _ in counts), steps, plan.batch)
    loader = DataLoader(
        views,
        sampler=_From(trainer.step, steps),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
    log = (out / "log.jsonl").open("a", encoding="utf-8")
    began = saved = time.monotonic()
    first, losses = trainer.step, []
    with log:
        for pictures, wanted in loader:
            losses.append(trainer.learn(pictures, wanted, steps))
            if not np.isfinite(losses[-1]):
                raise TrainingError(f"the loss is no number at step {trainer.step}: lower the learning rates")
            now = time.monotonic()
            if trainer.step % 100 == 0 or trainer.step == steps:
                speed = (trainer.step - first) * plan.batch / (now - began)
                left = (steps - trainer.step) * plan.batch / speed / 60
                row = {"step": trainer.step, "of": steps, "loss": round(float(np.mean(losses)), 4)}
                row |= {"edge_px": pictures.shape[-1], "views_per_s": round(speed), "minutes_left": round(left, 1)}
                _write(log, row)
                losses = []
            if exam and (trainer.step * exams // steps) > ((trainer.step - 1) * exams // steps):
                _write(log, {"step": trainer.step, **exam.hold(trainer.embed)})
            if now - saved > CHECKPOINT_EVERY_S or trainer.step == steps:
                trainer.save(checkpoint)
                saved = now
            if minutes and now - began > minutes * 60:
                trainer.save(checkpoint)
                LOG.info("stopped after %g minutes; the same command goes on", minutes)
                break
    return trainer.average, trainer.step == steps


def _write(log: Any, row: dict[str, Any]) -> None:
    log.write(json.dumps(row) + "\n")
    log.flush()
    LOG.info("%s", "  ".join(f"{key} {value}" for key, value in row.items()))
