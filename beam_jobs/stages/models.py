"""Which encoder, and which recogniser before it, each corpus of a run goes through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beam_jobs.stages.listing import is_told
from encoders import EncoderCard, describe_encoder, require_same_space
from encoders.recognise import RecogniserCard, describe_recogniser
from mining.config import Config
from mining.config.model import Corpus
from mining.contract.errors import ConfigError
from mining.contract.model_ref import RecogniserRef
from mining.contract.schemas import SPEECH


def encoder_cards(config: Config, corpora: Sequence[str]) -> dict[str, EncoderCard]:
    """What is known of each corpus' encoder.

    Raises:
        ConfigError: if two sides of a task are embedded in different spaces, or an encoder cannot
            embed what a corpus holds.
    """
    refs = {name: config.model_of(name) for name in corpora}
    known = {ref: describe_encoder(ref) for ref in dict.fromkeys(refs.values())}
    cards = {name: known[ref] for name, ref in refs.items()}
    for name, card in cards.items():
        _require_embeddable(name, config.corpora[name], card)
    for name, task in config.tasks.items():
        first, *others = (*task.sources, *task.targets)
        for other in others:
            require_same_space(cards[first], cards[other], f"tasks.{name}")
        for side in (task.sources, task.targets):
            if len({config.corpora[corpus].modality for corpus in side}) > 1:
                raise ConfigError(
                    f"tasks.{name}: one side must be all text or all speech, but {list(side)} are "
                    "both; make two tasks of it"
                )
    return cards


def _require_embeddable(name: str, corpus: Corpus, card: EncoderCard) -> None:
    """Vectors that are looked up need one id a segment.

    Raises:
        ConfigError: if a corpus' segments have none of their own.
    """
    if not card.by_id:
        return
    is_whole = corpus.segment == "none"
    if corpus.modality == SPEECH:
        is_whole = corpus.speech.segment == "recording" and corpus.speech.channel != "each"
    if corpus.columns.id is None or not is_whole:
        wanted = "speech.segment: recording" if corpus.modality == SPEECH else "segment: none"
        raise ConfigError(
            f"corpora.{name}: must name columns.id and have {wanted}, since the vectors of "
            f"{card.name} are looked up by id, one a row"
        )


def recogniser_cards(
    config: Config, cards: Mapping[str, EncoderCard]
) -> dict[str, tuple[RecogniserRef, RecogniserCard]]:
    """The recogniser of each corpus that needs one.

    A corpus whose encoder takes speech needs none. It has the one that it names itself, never the
    run's.

    Args:
        config: of the run.
        cards: of the corpora's encoders.

    Raises:
        ConfigError: if there is none for a speech corpus whose encoder takes text only, or it cannot
            tell languages where it must.
    """
    found = {}
    known: dict[RecogniserRef, RecogniserCard] = {}
    for name, card in cards.items():
        corpus = config.corpora[name]
        if corpus.modality != SPEECH:
            continue
        # vectors that are looked up need no words
        ref = corpus.recogniser if card.by_id else config.recogniser_of(name)
        if SPEECH in card.modalities and ref is None:
            if is_told(corpus):
                raise ConfigError(
                    f"corpora.{name}.lang: must be given, since {card.name} takes speech itself and "
                    "no recogniser tells its language; name one of the two"
                )
            continue
        if ref is None:
            raise ConfigError(
                f"corpora.{name}: needs a recogniser, since {card.name} takes text only; set "
                "recogniser.path to a Whisper or CTC model"
            )
        if ref not in known:
            known[ref] = describe_recogniser(ref, device=config.execution.device)
        _require_language(name, corpus, ref, known[ref])
        found[name] = (ref, known[ref])
    return found


def _require_language(name: str, corpus: Corpus, ref: RecogniserRef, card: RecogniserCard) -> None:
    """The recogniser must know what it is told, and tell what it is asked.

    Raises:
        ConfigError: if it does not.
    """
    if ref.language is not None and card.known(ref.language) is None:
        raise ConfigError(
            f"recogniser.language: must be one that {card.name} knows, but is {ref.language!r}"
        )
    if not is_told(corpus):
        return
    if not card.tells_language:
        raise ConfigError(
            f"corpora.{name}.lang: must be given, since {card.name} cannot tell languages; give a "
            "code, or take a Whisper model"
        )
    if ref.language is not None:
        raise ConfigError(
            f"corpora.{name}: lang must not be recognised where recogniser.language says what to take "
            "it for; leave one of them out"
        )
