"""`dsk serve`: vLLM's own OpenAI-compatible server, with this model and safe defaults."""

from __future__ import annotations

import click


@click.command("serve")
@click.argument("model")
@click.option(
    "--stack", "stack_id", envvar="DSK_STACK", required=True, help="The stack to serve with."
)
@click.option(
    "--runtime",
    envvar="DSK_RUNTIME",
    default="venv",
    show_default=True,
    help="venv or in-place.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--name", default="deepseek-ocr", show_default=True, help="The model's name.")
@click.option(
    "--api-key",
    envvar="DSK_API_KEY",
    help="What requests must carry; made up when others can reach the address.",
)
@click.option("--mode", help="The resolution mode; without it the checkpoint's own, or gundam.")
@click.option(
    "--ngram",
    type=(int, int),
    default=(20, 50),
    show_default=True,
    help="Size and window of the guard against loops, for requests that carry none; 0 0 is none.",
)
@click.option("--allow-urls", is_flag=True, help="Let requests name images by URL.")
def command(
    *,
    model: str,
    stack_id: str,
    runtime: str,
    host: str,
    port: int,
    name: str,
    api_key: str | None,
    mode: str | None,
    ngram: tuple[int, int],
    allow_urls: bool,
) -> None:
    """Serve MODEL, a checkpoint's folder or a hub id, until Ctrl-C."""
    from dsk import console
    from dsk.matrix import load_matrix
    from dsk.models.deepseek_ocr.prompts import KEPT_TOKENS
    from dsk.models.deepseek_ocr.tiles import mode_named
    from dsk.models.folder import mode_of, model_folder
    from dsk.ocr.engines.config import engine_config
    from dsk.runtime.base import runtime_for
    from dsk.serving import server, server_log
    from dsk.transformers_patch.switch import switched_off
    from dsk.vllm_plugin import registration

    matrix = load_matrix()
    stack = matrix.stack(stack_id)
    folder = model_folder(model, matrix)
    # Only this interpreter's own vLLM may be another one than the stack's.
    version = registration.installed_version() if runtime == "in-place" else None
    config = engine_config(
        stack,
        folder,
        mode=mode_of(folder),
        kept_tokens=KEPT_TOKENS,
        patch=not switched_off(),
        version=version,
        native=registration.native_is_wanted(),
    )
    serving = server.Serving(
        name=name,
        host=host,
        port=port,
        api_key=server.key_for(host, api_key),
        mode=mode_named(mode).name if mode else None,
        ngram=ngram if ngram[0] else None,
        urls=allow_urls,
    )
    given = server.arguments(serving, config)
    server.refuse_taken(host, port)
    place = runtime_for(stack, runtime)
    variables = server.environment(serving, config)
    with server_log.running(place, server.MODULE, given, variables) as (child, log):
        if not server.wait_until_healthy(serving, child):
            raise server_log.why_it_ended(child, log, stack, when="before it answered")
        server.refuse_other_engine(log.kept(), stack)
        if serving.api_key and serving.api_key != api_key:
            console.warn(f"others can reach {host}: requests need the key {serving.api_key}")
        console.err().print(f"serving {name} at {serving.address}; Ctrl-C ends it. Try:")
        click.echo(server.curl_line(serving))
        child.wait()
        if not child.stop_requested:
            raise server_log.why_it_ended(child, log, stack, when="by itself")
