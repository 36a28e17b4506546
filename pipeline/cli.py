"""The commands. What is heavy is imported by the command that needs it."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer

from activation_atlas.pipeline import interrupts
from activation_atlas.pipeline.beginning import init
from activation_atlas.pipeline.comparing import compare
from activation_atlas.pipeline.explaining import explain
from activation_atlas.pipeline.looking import look
from activation_atlas.pipeline.options import Config, Folder, InputSize, Out, Output, Settings, TaskOf, Tokens
from activation_atlas.pipeline.parity import parity
from activation_atlas.pipeline.patching import patch
from activation_atlas.stages.stage import UserError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Activation atlases: what an image classifier sees, at the scale of a data set.",
)


@app.command()
def run(
    context: typer.Context,
    config: Config,
    out: Out = None,
    settings: Settings = None,
    until: Annotated[str | None, typer.Option(metavar="STAGE", help="stop after this stage")] = None,
    redo: Annotated[list[str] | None, typer.Option(metavar="STAGE", help="run this stage again")] = None,
    scheduler: Annotated[str, typer.Option(help="sync, threads, processes, or tcp://HOST:PORT")] = "sync",
    workers: Annotated[int | None, typer.Option(help="how many; default: the cores")] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="read the run folder through first, and make again what is damaged")
    ] = False,
    log_format: Annotated[str, typer.Option(help="text, or json: an object a line on standard error")] = "text",
    quiet: Annotated[bool, typer.Option("--quiet", help="only warnings and errors")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="exit status 2 where the run cannot be right")] = False,
    fail_on: Annotated[
        str | None, typer.Option(metavar="VERDICT", help="verified: exit status 4 where a cue of the audit is")
    ] = None,
) -> None:
    """Runs what is missing or stale; with nothing to do it says so."""
    from activation_atlas.pipeline import commands
    from activation_atlas.pipeline.config import load
    from activation_atlas.pipeline.ending import ending
    from activation_atlas.pipeline.progress import progress

    if log_format not in ("text", "json"):
        raise UserError(f"--log-format {log_format}: choose text or json")
    if fail_on not in (None, "verified"):
        raise UserError(f"--fail-on {fail_on}: there is only verified")
    told, lines = progress(log_format, quiet), log_format == "json"
    with ending(told, context.obj):
        loaded = load(config, settings or ())
        if fail_on and loaded.audit is None:
            raise UserError(f"--fail-on {fail_on}: nothing is audited; add audit: {{}} to the configuration")
        done = commands.run(
            loaded,
            out=out,
            until=until,
            redo=redo or (),
            scheduler=scheduler,
            workers=workers,
            repair=repair,
            strict=strict,
            fail_on=fail_on,
            told=told,
        )
    root = done.folder.path
    if not quiet:
        if not done.ran:
            typer.echo(f"nothing to do: {root} is up to date")
        if done.rejected:
            typer.echo(f"{done.rejected} of {done.images} images were rejected: see {root}/rejects")
        if done.page:
            typer.echo(f"open {done.page.resolve()}")

    def end(message: str, level: str) -> None:
        told.say(message, level) if lines else typer.echo(message, err=True)

    if done.too_many_rejected:
        share, allowed = done.rejected_share, done.max_rejects
        end(f"too many rejects: {share:.1%} of the images, extract.max_rejects is {allowed:.1%}", "error")
    for text in done.verified if fail_on else ():
        end(f"--fail-on verified: {text}", "error")
    if done.doubts:
        # Each was told when it was found, which may be hours ago, or in another run: the first, and the last remedy.
        first, last = done.doubts[0].message, done.doubts[-1].remedy
        more = len(done.doubts) - 1
        rest = f" (and {more} more {'doubts' if more > 1 else 'doubt'}, see run.json)" if more else ""
        said = f"this run does not seem to be right: {first}; {last}{rest}"
        end(f"--strict: {said}" if strict else said if lines else f"warning: {said}", "error" if strict else "warning")
    if status := done.status(strict, fail_on):
        raise typer.Exit(status)


@app.command()
def plan(config: Config, out: Out = None, settings: Settings = None) -> None:
    """The stages, their shards, what would run and why. Opens no model."""
    from activation_atlas.pipeline import commands

    planned = commands.plan(config, out=out, settings=settings or ())
    typer.echo(f"run folder {planned.folder}")
    for step in planned:
        shards = "?" if step.shards is None else str(step.shards)
        if step.done:
            text = f"done, {shards} shards" if step.shards else "done"
        elif step.surplus and not step.todo:
            text = f"would drop parts: {step.reason}"
        elif step.todo:
            kind = "fit and its shards" if step.shards is None else f"{step.todo} of {shards} shards"
            text = f"would run {kind}: {step.reason}"
        else:
            text = f"would run {step.reason}"
        typer.echo(f"  {step.name:<32} {text}")
    for line in filter(None, (planned.left_out, planned.cost)):
        typer.echo(line)


@app.command()
def status(folder: Folder) -> None:
    """What a run holds: rows, bytes, seconds per stage, rejects."""
    from activation_atlas.pipeline.results import open_run

    run = open_run(folder)
    record = run.record
    for table in run.tables:
        typer.echo(f"  {table:<40} {run.rows(table):>10,} rows {run.size(table) / 2**20:>10.1f} MiB")
    for name, seconds in record.get("seconds", {}).items():
        typer.echo(f"  {name:<40} {seconds:>10.1f} s")
    if "peak_mib" in record:
        typer.echo(f"  {'peak memory of a process':<40} {record['peak_mib']:>10,} MiB")
    typer.echo(f"  {'rejected images':<40} {run.rejected:>10,}")
    for message in dict.fromkeys(m for said in record.get("warnings", {}).values() for m in said):
        typer.echo(f"  warning: {message}")
    if not run.finished:
        typer.echo("  unfinished: run the same command again")


@app.command()
def verify(folder: Folder) -> None:
    """Reads every part, state and file of a run and names those that are not what was written; exit status 2 then."""
    from activation_atlas.pipeline.results import open_run

    found = open_run(folder).verify()
    for damage in found.damages:
        typer.echo(str(damage), err=True)
    if found.unsealed:
        typer.echo(f"{found.unsealed} parts of an earlier version hold no checksum: they can be read, no more is known")
    if not found.whole:
        some = f"{len(found.damages)} of {found.files} files are damaged"
        raise UserError(f"{folder}: {some}; run the same command as before with --repair")
    typer.echo(f"{found.files} files, {found.bytes / 2**20:.1f} MiB: none is damaged")


@app.command()
def prune(
    folder: Folder,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="TABLE", help="what stays: icons, or activations/LAYER; may be repeated")
    ] = None,
    free: Annotated[float | None, typer.Option(metavar="GIB", min=0, help="stop once so much is freed")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would go, remove nothing")] = False,
) -> None:
    """Removes what the next run makes again: activations first, icons last, never what was found."""
    from activation_atlas.pipeline import pruning

    gone = pruning.prune(folder, keep or (), None if free is None else free * 2**30, dry_run)
    for said in pruning.shown(gone, dry_run):
        typer.echo(said)


@app.command()
def serve(folder: Folder, port: Annotated[int, typer.Option(help="0: a free one")] = 0) -> None:
    """The site of a run at 127.0.0.1, nothing outside it."""
    from activation_atlas.pipeline.serve import server

    with server(folder, port) as http:
        typer.echo(f"http://127.0.0.1:{http.server_port}/ (stop with Ctrl-C)")
        http.serve_forever()


@app.command()
def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a .keras or .h5 file, application:NAME, preset:NAME")],
    output: Output = None,
    task: TaskOf = None,
    input_size: InputSize = None,
    tokens: Tokens = None,
) -> None:
    """The layers that can carry an atlas: name, shape, receptive field, share of the compute before it.

    Behind a shape with +: tokens beside the map, such as a class token.
    """
    from activation_atlas.pipeline import commands
    from activation_atlas.stages.explain.command import model_of
    from activation_atlas.stages.origin import origin, shipped

    if "path" in origin(model) and not Path(shipped(model)).exists():
        raise UserError(f"{model}: no such file; give a .keras or .h5 file, application:NAME, or preset:NAME")
    given = {"output": output, "task": task, "input_size": input_size, "tokens": tokens}
    rows = commands.layers(model_of(model, **given))
    if not rows:
        raise typer.Exit(2)
    width = max([len(r.name) for r in rows] + [5])
    shape, field, share = "height x width x channels", "receptive field", "compute before"
    typer.echo(f"{'layer':<{width}}  {shape:>25}  {field:>15}  {share:>14}")
    for r in rows:
        field = " x ".join(f"{v:g}" for v in r.receptive_field)
        shape = f"{r.height} x {r.width} x {r.channels}" + (f" + {r.beside}" if r.beside else "")
        typer.echo(f"{r.name:<{width}}  {shape:>25}  {field:>15}  {r.compute:>14.1%}")


for command in (explain, look, init, parity, patch, compare):
    app.command()(command)


@app.command()
def schema() -> None:
    """The configuration's JSON Schema, for editors."""
    from activation_atlas.pipeline.schema import text

    typer.echo(text(), nl=False)


_USAGE: Any = typer.BadParameter.__mro__[2]
"""Base of what typer refuses; it lies in whichever click typer brings."""


def _usage(error: Any) -> str:
    """A usage error of typer's in one line; the help where no command is given."""
    said = error.format_message()
    if len(sys.argv) < 2:
        return said
    context = getattr(error, "ctx", None)
    where = context.command_path if context else "activation-atlas"
    return f"activation-atlas: {' '.join(said.split()).rstrip('.')}; see {where} --help"


def main() -> None:
    """The command ``activation-atlas``: turns outcomes into exit statuses."""
    stopped = interrupts.heed()
    try:
        status = app(standalone_mode=False, obj=stopped) or 0
        if status == 130 or (status and stopped):  # typer's own answer to an interrupt; what it broke
            raise KeyboardInterrupt
        sys.exit(status)
    except (typer.Abort, KeyboardInterrupt):
        interrupts.interrupted()
    except UserError as error:
        if stopped:  # workers that were told to stop, too, look like workers that died
            interrupts.interrupted()
        print(f"activation-atlas: {' '.join(str(error).splitlines())}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if isinstance(error, _USAGE):
            print(_usage(error), file=sys.stderr)
            sys.exit(error.exit_code)
        if stopped:
            interrupts.interrupted()
        traceback.print_exc()
        print("activation-atlas: this is a fault of ours; the lines above say where", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
