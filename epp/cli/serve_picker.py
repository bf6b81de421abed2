"""`epp serve-picker`: one picker process, started by `epp serve --workers N` and by nobody else."""

import asyncio
import os
import signal
import socket
import sys

import click


@click.command("serve-picker", hidden=True)
@click.option("--channel", type=int, required=True, help="descriptor of the messages to and from the control process")
@click.option("--connections", type=int, required=True, help="descriptor through which connections come")
@click.option("--memory", type=int, required=True, help="descriptor of the shared memory")
def command(channel: int, connections: int, memory: int) -> None:
    """One picker process of `epp serve --workers N`, which starts it."""
    from epp.app.told_options import options_read
    from epp.core.domain.errors import PickerError
    from epp.edge.extproc.tls_limits import limit_tls
    from epp.edge.peers.channel import receive_now
    from epp.edge.peers.messages import Begin

    # The control process says when to end, whoever else got the signal.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    end = socket.socket(fileno=channel)
    begin = receive_now(end)
    if not isinstance(begin, Begin):
        raise click.UsageError("this is started by epp serve --workers")
    options = options_read(begin.options)
    limit_tls(os.environ, only_1_3=options.only_tls_1_3, ciphers=options.tls_1_2_ciphers)
    from epp.app.event_loop import loop_factory
    from epp.app.serve_picker import serve_picker

    try:
        with asyncio.Runner(loop_factory=loop_factory(options)) as runner:
            is_over = runner.run(serve_picker(begin, options, end, socket.socket(fileno=connections), memory))
    except PickerError as error:
        click.echo(f"epp serve: picker process {begin.number}: {error}", err=True)
        sys.exit(1)
    sys.exit(0 if is_over else 1)
