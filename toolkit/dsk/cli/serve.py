"""`dsk serve`: vLLM's own OpenAI-compatible server, with this model and safe defaults."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from dsk import console
from dsk.cli.common import api_key as key_options
from dsk.cli.common.model_option import NAMES, model_option
from dsk.errors import UsageProblem
from dsk.ocr.schema.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from pathlib import Path

    from dsk.models.base import ModelProfile
    from dsk.ocr.schema.engine_config import CardPlacement
    from dsk.serving.server import ServeOptions

_API_KEY, _API_KEY_FILE = key_options.options(
    "Key that requests must carry; made up if others can reach the address"
)


@click.command("serve")
@click.argument("named", metavar="[MODEL]", required=False)
@model_option(f"Model: {NAMES}, where @REVISION may follow, or a folder; MODEL without the option.")
@click.option(
    "--stack",
    "stack_id",
    metavar="S",
    envvar="DSK_STACK",
    help="The stack to serve with; by default the image's own, or the one for this machine.",
)
@click.option(
    "--runtime",
    envvar="DSK_RUNTIME",
    default="venv",
    show_default=True,
    type=click.Choice(["venv", "in-place"]),
    help="Where the engine runs: the stack's environment, or this interpreter.",
)
@click.option(
    "--gpus",
    metavar="GPU",
    help="GPU that serves, by number or UUID as nvidia-smi -L lists it, or a MIG instance as "
    "GPU:INSTANCE or by UUID; by default the first that the stack runs on.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    metavar="N",
    type=click.IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="The port to listen on.",
)
@click.option(
    "--name",
    help="Name of the model in requests. [default: the model's id]",
)
@_API_KEY
@_API_KEY_FILE
@click.option(
    "--mode",
    help="Resolution of requests that name none. [default: the checkpoint's, else the model's]",
)
@click.option(
    "--ngram",
    metavar="SIZE WINDOW",
    type=(int, int),
    help="Size and window of the n-gram guard for requests that carry none; 0 0 turns it off. "
    "[default: the model's]",
)
@click.option(
    "--load-seconds",
    metavar="N",
    default=DEFAULT_LIMITS.load_seconds,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum time that the engine may take to load the model.",
)
@click.option(
    "--images-per-request",
    metavar="N",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Maximum images of a request.",
)
@click.option(
    "--allow-urls", is_flag=True, help="Let requests name images by URL, on public addresses."
)
def command(
    *,
    named: str | None,
    model: str | None,
    stack_id: str | None,
    runtime: str,
    gpus: str | None,
    host: str,
    port: int,
    name: str | None,
    api_key: str | None,
    api_key_file: Path | None,
    mode: str | None,
    ngram: tuple[int, int] | None,
    load_seconds: int,
    allow_urls: bool,
    images_per_request: int,
) -> None:
    """Serve MODEL until Ctrl-C.

    \b
    Examples:
      dsk serve
      dsk serve --model deepseek-ocr-2 --stack v1
      dsk serve ./my-checkpoint --port 9000
      dsk serve --gpus 1 --port 8001
    """
    from dsk.host import container_start, this_machine
    from dsk.matrix import load_matrix
    from dsk.models.folder import mode_of
    from dsk.models.reference import resolve
    from dsk.ocr.engines import loading
    from dsk.ocr.engines.config import engine_config
    from dsk.ocr.run.placement import one_card
    from dsk.runtime import engine_versions
    from dsk.runtime.base import runtime_for
    from dsk.serving import server, server_log
    from dsk.serving.key_file import key_file
    from dsk.transformers_patch.switch import switched_off
    from dsk.vllm_plugin import registration, stack_support

    given_key = key_options.given(api_key, api_key_file)
    matrix, reference = load_matrix(), resolve(_named(named, model))
    record = reference.profile.record
    version = registration.version_in(runtime)
    facts, devices = this_machine.probe(gpus)
    stack = (
        matrix.stack(stack_id)
        if stack_id
        else this_machine.stack_for_this_machine(matrix, record, version=version, facts=facts)
    )
    container_start.require(stack, facts, listens=host)
    card = one_card(stack, devices, gpus)
    # Before the model is looked for: another stack may be what is needed.
    stack_support.require(stack, record, matrix, version=version)
    folder, profile = reference.locate(), reference.profile
    guard = profile.record.guards.default
    ngram = ngram or (guard.size, guard.window)
    config = engine_config(
        stack,
        profile,
        folder,
        mode=mode_of(folder),
        patch=not switched_off(),
        version=version,
        native=registration.native_is_wanted(),
    )
    options = server.ServeOptions(
        name=name or profile.id,
        host=host,
        port=port,
        api_key=server.key_for(host, given_key),
        mode=profile.resolution(mode).name if mode else None,
        ngram=ngram if ngram[0] else None,
        urls=allow_urls,
        images=images_per_request,
    )
    server.refuse_taken(host, port)
    if others := engine_versions.stack_versions(stack, runtime):
        console.warn(engine_versions.warning(stack, runtime, others))
    variables = server.environment(options, config) | card.environment
    with contextlib.ExitStack() as cleanup:
        if options.api_key and not given_key:
            api_key_file = cleanup.enter_context(key_file(options.api_key, host, port))
        place = runtime_for(stack, runtime)
        running = server_log.running(
            place, server.MODULE, server.arguments(options, config), variables
        )
        child, log = cleanup.enter_context(running)

        def report(seconds: int) -> None:
            line = log.last_line()
            console.warn(loading.progress_report("the server", seconds, load_seconds, line))

        if not server.wait_until_healthy(options, child, limit=load_seconds, report=report):
            raise server_log.loading_error(child, log, stack, load_seconds)
        server.refuse_other_engine(log.kept(), stack)
        if options.api_key and not given_key:
            console.warn(f"others can reach {host}: requests need the key in {api_key_file}")
        _announce(options, card if len(devices) > 1 or gpus else None, profile, api_key_file)
        child.wait()
        if not child.stop_requested:
            raise server_log.end_error(child, log, stack, when="by itself")


def _announce(
    options: ServeOptions, card: CardPlacement | None, profile: ModelProfile, key: Path | None
) -> None:
    """Print what is served and where, with the GPU if there was a choice, and how to try it."""
    from dsk.serving.server import curl_line

    where = f" on {card}" if card and card.label else ""
    console.err().print(f"serving {options.name}{where} at {options.address}; Ctrl-C ends it. Try:")
    console.echo(curl_line(options, profile, key))


def _named(argument: str | None, option: str | None) -> str | None:
    """Return the model that the argument names, or else the option."""
    source = click.get_current_context().get_parameter_source("model")
    if argument and source is click.core.ParameterSource.COMMANDLINE:
        what = f"MODEL and --model both name a model: {argument} and {option}"
        raise UsageProblem(what, do="leave one of them out")
    return argument or option
