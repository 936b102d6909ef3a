"""The commands of the training program."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import replace
from pathlib import Path

import click
import torch

from image_search.embedding.models import find_model
from image_search.errors import ImageSearchError
from training.export import export
from training.finish import finish
from training.material import Folder, gather
from training.pictures import TrainingError
from training.recipe import FURTHER, MAX_BYTES, PLAN, SPEC
from training.run import load_student, save_finished, train

_FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Train the network that the product ships, and export it.

    \b
    Examples:
      python -m training train --teacher teacher.onnx --pictures photos --pictures small=0.5 --out runs/first
      python -m training export runs/first compact.onnx
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)


@main.command(name="train")
@click.option("--teacher", required=True, metavar="FILE", help="An ONNX network, its JSON beside it.")
@click.option(
    "--pictures",
    "folders",
    multiple=True,
    required=True,
    metavar="FOLDER[=TIMES[:LIMIT]]",
    help="Pictures to learn from; how often they come in one pass (a part of them below 1), at most how many.",
)
@click.option(
    "--labelled",
    type=_FOLDER,
    help="One of them, with a sub-folder for each class: every second class is "
    "kept out of the training, and asked for.",
)
@click.option(
    "--photos", type=_FOLDER, help="One of them: every fifth picture is kept out, and copies of it are looked for."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Checkpoint and log; goes on from there.")
@click.option("--cache", type=click.Path(path_type=Path), help="Packed pictures; default: cache in --out.")
@click.option(
    "--initial",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="An exported file of the same shape to go on from, in place of random weights: then by the second plan.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    help=f"Views in all; default: {PLAN.samples:,}, with --initial {FURTHER.samples:,}.",
)
@click.option("--seed", type=int, help=f"Default: {PLAN.seed}, with --initial {FURTHER.seed}.")
@click.option(
    "--minutes", type=click.FloatRange(min=0), default=0, help="Stop after so long; the same command goes on."
)
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True, help="Processes that make views.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Default: cuda where there is one.")
def train_command(
    teacher: str,
    folders: tuple[str, ...],
    labelled: Path | None,
    photos: Path | None,
    out: Path,
    cache: Path | None,
    initial: Path | None,
    samples: int | None,
    seed: int | None,
    minutes: float,
    workers: int,
    device: str | None,
) -> None:
    """Distil a teacher into the student."""
    plan = PLAN if initial is None else FURTHER
    plan = replace(plan, samples=samples or plan.samples, seed=plan.seed if seed is None else seed)
    if plan.samples < plan.batch:
        raise TrainingError(f"--samples {plan.samples}: at least one batch of {plan.batch} is needed")
    material = gather(
        [Folder.parse(text) for text in folders],
        find_model(teacher, out),
        cache or out / "cache",
        labelled=labelled,
        photos=photos,
    )
    student, done = train(
        material,
        material.targets(plan.shape.dim, plan.damping),
        plan,
        SPEC,
        out,
        exam=material.exam(SPEC),
        workers=workers,
        device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
        minutes=minutes,
        initial=initial,
    )
    if done:
        save_finished(finish(student.to("cpu"), material, SPEC, seed=PLAN.seed), plan, out)


@main.command(name="export")
@click.argument("run", type=_FOLDER)
@click.argument("file", type=click.Path(path_type=Path))
def export_command(run: Path, file: Path) -> None:
    """Write the student of RUN as the ONNX FILE; prints what goes into the registry."""
    report = export(load_student(run), file, SPEC.crop_px, max_bytes=MAX_BYTES)
    click.echo(json.dumps(report, indent=2))


def run_main() -> None:
    """The program, its errors as one line."""
    try:
        main()
    except (TrainingError, ImageSearchError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    run_main()
