"""Parameters of disagg-profile-handler and of its predecessor, and what they refer to."""

from typing import Annotated, Literal

import msgspec

from epp.core.config.catalogue import PluginKind, Reference
from epp.core.config.parameters import Text
from epp.core.config.structure import Section

StageOrder = Literal["decode-first", "prefill-first"]
StageFailure = Literal["skip", "refuse"]


class StageProfiles(Section, frozen=True):
    """Names of scheduling profiles."""

    decode: Text = "decode"
    prefill: Text = "prefill"
    encode: Text = "encode"


class StageDeciders(Section, frozen=True):
    """Names of decider plugins; a stage without one does not run."""

    prefill: str = ""
    encode: str = ""


class DisaggProfileParameters(Section, frozen=True):
    """Parameters of the reference, and `onStageFailure`; the flat ones are its older form."""

    stage_order: StageOrder = "decode-first"
    profiles: StageProfiles = StageProfiles()
    deciders: StageDeciders = StageDeciders()
    on_stage_failure: StageFailure = "skip"
    """of a further stage that finds no endpoint: do without it, or refuse the request"""
    decode_profile: str = ""
    prefill_profile: str = ""
    encode_profile: str = ""
    prefill_decider_plugin_name: str = ""
    decider_plugin_name: str = ""
    encode_decider_plugin_name: str = ""

    def __post_init__(self) -> None:
        _check_names(self.plan)
        if self.plan.is_prefill_first and self.plan.prefill_decider:
            raise ValueError(
                "stageOrder prefill-first always runs the prefill profile, so there is nothing for a prefill decider "
                "to decide; remove the decider or the stageOrder"
            )

    @property
    def plan(self) -> "StagePlan":
        """The parameters in one form; an older name counts where the newer one is not given."""
        profiles, deciders, default = self.profiles, self.deciders, StageProfiles()
        return StagePlan(
            decode=_chosen(profiles.decode, self.decode_profile, default.decode),
            prefill=_chosen(profiles.prefill, self.prefill_profile, default.prefill),
            encode=_chosen(profiles.encode, self.encode_profile, default.encode),
            prefill_decider=deciders.prefill or self.prefill_decider_plugin_name or self.decider_plugin_name,
            encode_decider=deciders.encode or self.encode_decider_plugin_name,
            is_prefill_first=self.stage_order == "prefill-first",
            may_fail=self.on_stage_failure == "skip",
        )

    @property
    def references(self) -> tuple[Reference, ...]:
        """The profiles that must be there and the deciders, each where the file names it."""
        plan = self.plan
        found = [Reference(_path("profiles.decode", decodeProfile=self.decode_profile), plan.decode)]
        prefill = _path("profiles.prefill", prefillProfile=self.prefill_profile)
        if plan.prefill_decider:
            older = {
                "prefillDeciderPluginName": self.prefill_decider_plugin_name,
                "deciderPluginName": self.decider_plugin_name,
            }
            path = _path("deciders.prefill", **({} if self.deciders.prefill else older))
            found += [Reference(prefill, plan.prefill), Reference(path, plan.prefill_decider, PluginKind.DECIDER)]
        elif plan.is_prefill_first:
            found.append(Reference(prefill, plan.prefill, is_optional=True))
        if plan.encode_decider:
            encode = _path("profiles.encode", encodeProfile=self.encode_profile)
            older = {"encodeDeciderPluginName": self.encode_decider_plugin_name}
            path = _path("deciders.encode", **({} if self.deciders.encode else older))
            found += [Reference(encode, plan.encode), Reference(path, plan.encode_decider, PluginKind.DECIDER)]
        return tuple(found)


class PdProfileParameters(Section, frozen=True):
    """pd-profile-handler: only prefill and decode, and always with a decider."""

    decode_profile: Text = "decode"
    prefill_profile: Text = "prefill"
    decider_plugin_name: Text = "prefix-based-pd-decider"
    primary_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    """0: the port that was picked"""
    prefix_plugin_type: str = ""
    prefix_plugin_name: str = ""
    prefix_match_info_producer_name: str = ""

    def __post_init__(self) -> None:
        _check_names(self.plan)

    @property
    def plan(self) -> "StagePlan":
        """See DisaggProfileParameters."""
        return StagePlan(
            decode=self.decode_profile,
            prefill=self.prefill_profile,
            prefill_decider=self.decider_plugin_name,
            primary_port=self.primary_port,
        )

    @property
    def references(self) -> tuple[Reference, ...]:
        """See DisaggProfileParameters."""
        return (
            Reference(("decodeProfile",), self.decode_profile),
            Reference(("prefillProfile",), self.prefill_profile),
            Reference(("deciderPluginName",), self.decider_plugin_name, PluginKind.DECIDER),
        )


class StagePlan(msgspec.Struct, frozen=True):
    """What the handler is to do."""

    decode: str
    prefill: str
    encode: str = ""
    prefill_decider: str = ""
    encode_decider: str = ""
    is_prefill_first: bool = False
    may_fail: bool = True
    """a further stage that finds nobody is left out"""
    primary_port: int = 0


def _check_names(plan: StagePlan) -> None:
    names = [name for name in (plan.decode, plan.prefill, plan.encode) if name]
    if len(set(names)) < len(names):
        raise ValueError(f"the stages must have profiles of their own, and these are {', '.join(names)}")


def _chosen(new: str, old: str, default: str) -> str:
    return old if old and new == default else new


def _path(name: str, **older: str) -> tuple[str, ...]:
    """Where the file says it: the first older name that is given, else the name of today."""
    return next(((field,) for field, value in older.items() if value), tuple(name.split(".")))
