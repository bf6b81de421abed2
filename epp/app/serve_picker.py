"""`epp serve-picker`: a picker process from its first message to its end."""

import socket

from epp.app.logging_options import configure_process_logs
from epp.app.options import ServeOptions
from epp.app.picker_worker import PickerWorker
from epp.edge.peers.channel import Channel
from epp.edge.peers.messages import Begin


async def serve_picker(
    begin: Begin, options: ServeOptions, channel: socket.socket, connections: socket.socket, memory_fd: int
) -> bool:
    """True when the control process has ended it; raises PickerError when it cannot serve."""
    configure_process_logs(options, picker=begin.number)
    worker = PickerWorker(begin, options, memory_fd)
    return await worker.serve(await Channel.over(channel), connections)
