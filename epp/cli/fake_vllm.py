"""`epp fake-vllm`: fake vLLM pods, any number of them in one process."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from epp.lab.fake_vllm.settings import AdapterSource, EngineSettings, PodSettings

_OPTION_OF_FIELD = {
    "served_names": "--served-model-name",
    "adapters": "--lora-modules",
    "kv_usage_names": "--kv-usage-metric",
    "lora_load_s": "--lora-load-seconds",
    "step_base_s": "--step-base-ms",
    "step_per_sequence_s": "--step-per-sequence-ms",
    "prefill_tokens_per_s": "--prefill-tokens-per-second",
}


class Flags(msgspec.Struct, frozen=True, kw_only=True):
    """The command line as parsed; names are the options', times in the options' units."""

    hosts: tuple[str, ...]
    port: int
    name: str
    model: str
    served_names: tuple[str, ...]
    enable_lora: bool
    adapters: "tuple[AdapterSource, ...]"
    runtime_lora_updating: bool
    max_loras: int
    max_lora_rank: int
    max_cpu_loras: int | None
    tensor_parallel_size: int
    max_num_seqs: int
    max_num_batched_tokens: int
    num_gpu_blocks: int
    block_size: int
    max_model_len: int | None
    enable_prefix_caching: bool
    scheduling_policy: str
    speed: float
    prefill_tokens_per_second: float
    step_base_ms: float
    step_per_sequence_ms: float
    lora_load_seconds: float
    answer_tokens: tuple[int, int]
    kv_usage_metric: str
    kv_events_port: int | None
    kv_events_replay_port: int | None
    kv_events_format: str
    seed: int
    grace_seconds: float
    ready_file: Path | None


_EPILOG = """\b
Examples:
  epp fake-vllm --port 8000
  epp fake-vllm --host 127.0.0.11 --host 127.0.0.12 --port 8000 --max-loras 2 \\
      --lora-modules food-review=Kawon/llama3.1-food-finetune_v14_r8 --lora-modules cad-fabricator=redcathode/fabricator
  epp fake-vllm --port 0 --speed 100 --ready-file pods.json
  curl -H 'content-type: application/json' http://127.0.0.1:8000/v1/completions \\
      -d '{"model": "meta-llama/Llama-3.1-8B-Instruct", "prompt": "hello", "max_tokens": 8, "temperature": "0"}'
  curl -d '{"status": 500, "times": 3}' http://127.0.0.1:8000/debug/faults
"""


def _lora_modules(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> "tuple[AdapterSource, ...]":
    from epp.lab.fake_vllm.settings import AdapterSource

    adapters = []
    for text in given:
        if text.lstrip().startswith(("{", "[")):
            adapters += _json_modules(text)
            continue
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise click.BadParameter(f"{text!r} is neither name=path nor JSON with name and path")
        adapters.append(AdapterSource(name, path))
    return tuple(adapters)


def _json_modules(text: str) -> "list[AdapterSource]":
    from epp.lab.fake_vllm.settings import AdapterSource

    listed = text if text.lstrip().startswith("[") else f"[{text}]"
    try:
        return msgspec.json.decode(listed, type=list[AdapterSource])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


def _answer_tokens(_: click.Context, __: click.Parameter, text: str) -> tuple[int, int]:
    shortest, colon, longest = text.partition(":")
    try:
        return int(shortest), int(longest if colon else shortest)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not SHORTEST:LONGEST, two whole numbers") from error


@click.command(
    "fake-vllm", epilog=_EPILOG, context_settings={"show_default": True, "help_option_names": ["-h", "--help"]}
)
@click.option("--host", "hosts", multiple=True, default=("127.0.0.1",), help="Address to listen on; one pod for each.")
@click.option("--port", default=8000, help="Port of every pod; 0 takes free ones.")
@click.option("--name", default="fake-vllm", help="Pods are called NAME-0, NAME-1, ...")
@click.option("--model", default="meta-llama/Llama-3.1-8B-Instruct", help="Base model.")
@click.option("--served-model-name", "served_names", multiple=True, help="Name the base model answers to instead.")
@click.option("--enable-lora/--no-enable-lora", default=True, help="Serve LoRA adapters.")
@click.option(
    "--lora-modules",
    "adapters",
    multiple=True,
    callback=_lora_modules,
    metavar="NAME=PATH|JSON",
    help="Adapter served from the start; may be repeated.",
)
@click.option(
    "--runtime-lora-updating/--no-runtime-lora-updating",
    default=True,
    envvar="VLLM_ALLOW_RUNTIME_LORA_UPDATING",
    help="Allow /v1/load_lora_adapter and /v1/unload_lora_adapter.",
)
@click.option("--max-loras", default=1, type=click.IntRange(min=1), help="Adapters that can run at the same time.")
@click.option("--max-lora-rank", default=16, help="Accepted for vLLM's sake; changes nothing.")
@click.option("--max-cpu-loras", type=int, help="Checked as vLLM does (at least --max-loras); changes nothing else.")
@click.option("--tensor-parallel-size", default=1, help="Accepted for vLLM's sake; changes nothing.")
@click.option("--max-num-seqs", default=256, help="Sequences that can run at the same time.")
@click.option("--max-num-batched-tokens", default=8192, help="Tokens computed in one step at most.")
@click.option("--num-gpu-blocks", default=26_300, help="KV cache blocks.")
@click.option("--block-size", default=16, help="Tokens of a KV cache block.")
@click.option(
    "--max-model-len",
    type=int,
    show_default="131072, or less if the KV cache is smaller",
    help="Longest prompt plus answer, in tokens.",
)
@click.option(
    "--enable-prefix-caching/--no-enable-prefix-caching", default=True, help="Reuse blocks of equal prefixes."
)
@click.option(
    "--scheduling-policy",
    type=click.Choice(["fcfs", "priority"]),
    default="fcfs",
    help="Order of the waiting queue; under fcfs a body with a priority is refused.",
)
@click.option("--speed", default=1.0, help="Divides every duration of the latency model.")
@click.option("--prefill-tokens-per-second", default=8000.0, help="Latency model: prompt tokens.")
@click.option("--step-base-ms", default=12.0, help="Latency model: one step of the engine.")
@click.option("--step-per-sequence-ms", default=0.15, help="Latency model: what each running sequence adds to a step.")
@click.option("--lora-load-seconds", default=0.1, help="Latency model: bringing an adapter to the GPU.")
@click.option(
    "--answer-tokens",
    default="64:256",
    callback=_answer_tokens,
    metavar="SHORTEST:LONGEST",
    help="Where answers stop by themselves.",
)
@click.option(
    "--kv-usage-metric",
    type=click.Choice(["new", "old", "both"]),
    default="new",
    help="vllm:kv_cache_usage_perc, the older vllm:gpu_cache_usage_perc, or both.",
)
@click.option(
    "--kv-events-port", type=int, show_default="no events", help="Publish KV-cache events there (ZeroMQ); vLLM: 5557."
)
@click.option(
    "--kv-events-replay-port",
    type=int,
    show_default="no replays",
    help="Port where lost KV-cache events are told again.",
)
@click.option(
    "--kv-events-format",
    type=click.Choice(["array", "map"]),
    default="array",
    help="MessagePack form of the events: array as in vLLM 0.11, map as in later versions.",
)
@click.option("--seed", default=0, help="Changes the answers; pods with the same seed answer alike.")
@click.option("--grace-seconds", default=30.0, type=click.FloatRange(min=0), help="Time to finish requests at SIGTERM.")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help='JSON written once all pods listen: {"pods": [{name, host, port}]}.',
)
def command(**options: Any) -> None:
    """Run fake vLLM pods: vLLM's HTTP surface over a simulated engine, without a GPU.

    SIGTERM or SIGINT drains: /health answers 503, new requests are refused, those under way may finish.
    """
    from epp.lab.fake_vllm.process import StartError, serve

    flags = Flags(**options)
    pods = _pods(flags)
    serving = serve(pods, grace_s=flags.grace_seconds, ready_file=flags.ready_file, announce=click.echo)
    try:
        drained = _run(serving)
    except StartError as error:
        raise click.ClickException(str(error)) from error
    if not drained:
        raise click.ClickException("stopped with requests under way")


def _pods(flags: Flags) -> "list[PodSettings]":
    """Settings of every pod, checked. Raises click.BadParameter."""
    from epp.lab.fake_vllm.settings import PodSettings, SettingsError, check_settings

    if flags.max_cpu_loras is not None and flags.max_cpu_loras < flags.max_loras:
        raise click.BadParameter(
            f"{flags.max_cpu_loras} is below --max-loras ({flags.max_loras})", param_hint="'--max-cpu-loras'"
        )
    if flags.port and len(set(flags.hosts)) < len(flags.hosts):
        raise click.BadParameter(f"an address is given twice; port {flags.port} exists once", param_hint="'--host'")
    engine = _engine(flags)
    pods = [
        PodSettings(
            name=f"{flags.name}-{index}",
            host=host,
            port=flags.port,
            model=flags.model,
            served_names=flags.served_names,
            adapters=flags.adapters,
            runtime_lora_updating=flags.runtime_lora_updating,
            kv_usage_names=("new", "old") if flags.kv_usage_metric == "both" else (flags.kv_usage_metric,),
            answer_tokens=flags.answer_tokens,
            seed=flags.seed,
            kv_events_port=flags.kv_events_port,
            kv_events_replay_port=flags.kv_events_replay_port,
            kv_events_as_maps=flags.kv_events_format == "map",
            engine=engine,
        )
        for index, host in enumerate(flags.hosts)
    ]
    try:
        for pod in pods:
            check_settings(pod)
    except SettingsError as error:
        option = _OPTION_OF_FIELD.get(error.field, "--" + error.field.replace("_", "-"))
        raise click.BadParameter(error.problem, param_hint=f"'{option}'") from error
    return pods


def _engine(flags: Flags) -> "EngineSettings":
    from epp.lab.fake_vllm.settings import EngineSettings, LatencySettings

    latency = LatencySettings(
        prefill_tokens_per_s=flags.prefill_tokens_per_second,
        step_base_s=flags.step_base_ms / 1000,
        step_per_sequence_s=flags.step_per_sequence_ms / 1000,
        lora_load_s=flags.lora_load_seconds,
        speed=flags.speed,
    )
    return EngineSettings(
        block_size=flags.block_size,
        num_gpu_blocks=flags.num_gpu_blocks,
        max_model_len=flags.max_model_len,
        max_num_seqs=flags.max_num_seqs,
        max_num_batched_tokens=flags.max_num_batched_tokens,
        max_loras=flags.max_loras if flags.enable_lora else 0,
        prefix_caching=flags.enable_prefix_caching,
        priority_scheduling=flags.scheduling_policy == "priority",
        latency=latency,
    )


def _run(serving: "Coroutine[Any, Any, bool]") -> bool:
    """Runs to the end on uvloop where it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(serving)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(serving)
