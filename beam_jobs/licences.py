"""Under which licences the corpora and weights of a task are, and whether they allow commerce."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from encoders import EncoderCard
from encoders.recognise import RecogniserCard
from mining.config import Config
from mining.contract.errors import ConfigError
from mining.contract.licences import UNKNOWN, allows_commerce
from mining.contract.model_ref import RecogniserRef

Licences = dict[str, dict[str, str]]  # corpora, models: name -> licence


def licences_of(
    config: Config,
    corpora: Sequence[str],
    cards: Mapping[str, EncoderCard],
    recognisers: Mapping[str, tuple[RecogniserRef, RecogniserCard]],
) -> Licences:
    """What pairs of some corpora are made of.

    Args:
        config: of the run.
        corpora: their names.
        cards: of the corpora's encoders.
        recognisers: of the corpora that have one.
    """
    models: dict[str, str] = {}
    for corpus in corpora:
        for name, fingerprint, licence in _models(config, corpus, cards, recognisers):
            # two models of one name and two licences are told apart
            key = name if models.get(name, licence) == licence else f"{name} {fingerprint[:8]}"
            models[key] = licence
    return {
        "corpora": {name: config.corpora[name].licence for name in dict.fromkeys(corpora)},
        "models": dict(sorted(models.items())),
    }


def _models(
    config: Config,
    corpus: str,
    cards: Mapping[str, EncoderCard],
    recognisers: Mapping[str, tuple[RecogniserRef, RecogniserCard]],
) -> Iterator[tuple[str, str, str]]:
    """Name, fingerprint and licence; what the config states of a model counts."""
    card, stated = cards[corpus], config.model_of(corpus).licence
    yield card.name, card.fingerprint, stated or card.licence
    if corpus in recognisers:
        ref, recogniser = recognisers[corpus]
        yield recogniser.name, recogniser.fingerprint, ref.licence or recogniser.licence
    elif card.audio_tokenizer is not None and config.corpora[corpus].modality == "speech":
        units = card.audio_tokenizer
        yield units.name, units.fingerprint, stated or units.licence or card.licence


def require_commercial(licences: Licences) -> None:
    """Refuse what may not be used commercially, or of which nobody knows.

    Raises:
        ConfigError: naming each corpus and model, and its licence.
    """
    refused = []
    for kind, word in (("corpora", "corpora."), ("models", "model ")):
        for name, licence in licences[kind].items():
            allowed = allows_commerce(licence)
            if allowed is None:
                why = "unknown" if licence == UNKNOWN else f"{licence}, which is not in the table"
                refused.append(f"{word}{name} ({why})")
            elif not allowed:
                refused.append(f"{word}{name} ({licence}, which does not allow it)")
    if refused:
        raise ConfigError(
            "execution.commercial: corpora and models must be licensed for commercial use, but not so "
            f"are {'; '.join(refused)}; leave them out, or state corpora.NAME.licence, "
            "model.licence or recogniser.licence where you know better"
        )
