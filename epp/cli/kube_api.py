"""`epp kube-api`: an API server in memory, for trying the picker with kubectl and helm, without a cluster."""

import asyncio
from pathlib import Path

import click


@click.command("kube-api")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=6443, show_default=True, help="Port to listen on; 0 for any.")
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("kubeconfig"),
    show_default=True,
    help="File that gets the access of an administrator.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File in which the objects survive the process; without it they are gone with it.",
)
@click.option(
    "--schemas",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="OpenAPI definitions of built-in kinds (JSON), by which they are checked; without them they hardly are.",
)
@click.option(
    "--bookmark-seconds", default=60.0, type=click.FloatRange(min=0.01), help="Time between bookmarks of a watch."
)
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON written once it listens: {url, kubeconfig}.",
)
def command(
    *,
    host: str,
    port: int,
    kubeconfig: Path,
    state: Path | None,
    schemas: Path | None,
    bookmark_seconds: float,
    ready_file: Path | None,
) -> None:
    """Serve the Kubernetes API from memory, over HTTPS: CRDs, RBAC, watches, but no nodes and hardly a controller.

    \b
    Examples:
      epp kube-api --state cluster.json &
      KUBECONFIG=kubeconfig kubectl get namespaces
    """
    from epp.lab.kube_api.known_schemas import DefinitionsFile
    from epp.lab.kube_api.process import StartError, serve
    from epp.lab.kube_api.server import KubeApiSettings

    settings = KubeApiSettings(host=host, port=port, state=state, bookmark_period_s=bookmark_seconds)
    source = DefinitionsFile(schemas) if schemas else None
    serving = serve(
        settings, schemas=source, kubeconfig=kubeconfig.absolute(), ready_file=ready_file, announce=click.echo
    )
    try:
        asyncio.run(serving)
    except StartError as error:
        raise click.ClickException(str(error)) from error
