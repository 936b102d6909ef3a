"""Commands about long-running work of the service: jobs list, show, failures, retry, cancel."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from image_search.cli.context import CliContext, emit, json_option, pass_context
from image_search.cli.options import ListingGroup, page_options
from image_search.cli.tables import brief, plain, print_table, print_values
from image_search.names import rfc3339
from image_search.types import Job


@click.group(cls=ListingGroup)
def jobs() -> None:
    """Look after the long-running work that `serve` does; alone: the same as `list`."""


@jobs.command(name="list")
@page_options(50)
@json_option
@pass_context
def jobs_list(context: CliContext, limit: int, after: str | None, as_json: bool) -> None:
    """List the jobs, newest first.

    \b
    Example:
      image-search jobs list --limit 10
    """
    with context.services() as services:
        found = services.jobs.list(limit, after)
    following = found[-1].job_id if len(found) == limit else None

    def text() -> None:
        if not found:
            click.echo("No jobs.")
            return
        rows = (
            (j.job_id, j.kind, _collection(j) or "", j.state, _how_far(j), rfc3339(j.created_at_s), brief(j.error))
            for j in found
        )
        print_table(("id", "kind", "collection", "state", "done", "created", "error"), rows)
        if following:
            click.echo(f"There may be more: --after {following}")

    emit({"jobs": [_describe(job) for job in found], "next": following}, as_json=as_json, text=text)


@jobs.command(name="show")
@click.argument("job_id", metavar="JOB")
@json_option
@pass_context
def jobs_show(context: CliContext, job_id: str, as_json: bool) -> None:
    """Print a job and how far it is.

    \b
    Example:
      image-search jobs show 5f3a9c0d1e2b4a67
    """
    with context.services() as services:
        job = services.jobs.get(job_id)
    _emit(job, as_json=as_json)


@jobs.command(name="failures")
@click.argument("job_id", metavar="JOB")
@click.option("--limit", default=100, show_default=True, metavar="N", type=int, help="At most so many.")
@click.option("--after", default=0, metavar="NUMBER", type=int, help="Go on after this one.")
@json_option
@pass_context
def jobs_failures(context: CliContext, job_id: str, limit: int, after: int, as_json: bool) -> None:
    """List what a job could not do, and why.

    \b
    Example:
      image-search jobs failures 5f3a9c0d1e2b4a67
    """
    with context.services() as services:
        found = services.jobs.failures(job_id, after=after, limit=limit)
        failed = services.jobs.get(job_id).failed
    following = found[-1].number if len(found) == limit else None

    def text() -> None:
        if found:
            rows = ((str(f.number), plain(f.item), plain(f.reason)) for f in found)
            print_table(("#", "item", "reason"), rows, right=("#",))
        click.echo(f"{len(found)} shown, {failed} in all")
        if following:
            click.echo(f"There may be more: --after {following}")

    emit({"failures": [asdict(one) for one in found], "next": following}, as_json=as_json, text=text)


@jobs.command(name="retry")
@click.argument("job_id", metavar="JOB")
@json_option
@pass_context
def jobs_retry(context: CliContext, job_id: str, as_json: bool) -> None:
    """Do again what a job that has ended could not do, as a new job; `serve` works on it.

    \b
    Example:
      image-search jobs retry 5f3a9c0d1e2b4a67
    """
    with context.services() as services:
        job = services.jobs.retry(job_id)
    _emit(job, as_json=as_json)


@jobs.command(name="cancel")
@click.argument("job_id", metavar="JOB")
@json_option
@pass_context
def jobs_cancel(context: CliContext, job_id: str, as_json: bool) -> None:
    """End a job before its end; the library stays as it was.

    One that runs ends at its next step. Where it has done its work by then, it is done and not cancelled.

    \b
    Example:
      image-search jobs cancel 5f3a9c0d1e2b4a67
    """
    with context.services() as services:
        job = services.jobs.cancel(job_id)
    _emit(job, as_json=as_json)


def _emit(job: Job, *, as_json: bool) -> None:
    def text() -> None:
        print_values(_describe(job))
        if job.state == "queued":
            click.echo("It waits; `image-search serve` works on it, now if it runs.")
        elif job.state == "running" and job.cancel_wanted:
            click.echo("It ends at its next step.")

    emit(_describe(job), as_json=as_json, text=text)


def _collection(job: Job) -> str | None:
    """What it works on."""
    return job.params.get("collection")


def _how_far(job: Job) -> str:
    total = f" of {job.total}" if job.total else ""
    return f"{job.done}{total}" + (f", {job.failed} failed" if job.failed else "")


def _describe(job: Job) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "kind": job.kind,
        "collection": _collection(job),
        "state": job.state,
        "params": dict(job.params),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "rate": round(job.rate, 2),
        "eta_s": None if job.eta_s is None else round(job.eta_s, 1),
        "cancel_wanted": job.cancel_wanted,
        "error": job.error or None,
        "created_at": rfc3339(job.created_at_s),
        "started_at": None if job.started_at_s is None else rfc3339(job.started_at_s),
        "finished_at": None if job.finished_at_s is None else rfc3339(job.finished_at_s),
    }


COMMANDS = (jobs,)
