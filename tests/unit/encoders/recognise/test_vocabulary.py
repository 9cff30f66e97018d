import pytest

from encoders.recognise.vocabulary import WhisperVocabulary
from mining.contract.errors import CheckpointError, ConfigError


@pytest.fixture(scope="module")
def vocabulary(tiny_whisper) -> WhisperVocabulary:
    return WhisperVocabulary.read(tiny_whisper)


def tokens_of(vocabulary, text: str) -> list[int]:
    return vocabulary.tokenizer.encode(text, add_special_tokens=False).ids


def test_languages_are_iso_639_3(vocabulary):
    assert list(vocabulary.languages) == ["deu", "eng", "jav", "zho"]


def test_prompt_names_language_and_task(vocabulary):
    names = {number: token for token, number in vocabulary.special.items()}
    expected = ["<|startoftranscript|>", "<|de|>", "<|transcribe|>", "<|notimestamps|>"]
    assert [names[token] for token in vocabulary.prompt("deu")] == expected
    assert vocabulary.prompt("zho_Hant") == vocabulary.prompt("zho")


@pytest.mark.parametrize("lang", ["que", "gle", ""])
def test_unknown_language_is_named(vocabulary, lang):
    with pytest.raises(ConfigError, match=f"language {lang!r}"):
        vocabulary.prompt(lang)


@pytest.mark.parametrize(
    ("text", "lang", "words"),
    [
        (" Don't go, please.", "eng", [" Don't", " go,", " please."]),
        (' He said "No way!" twice', "eng", [" He", " said", ' "No', ' way!"', " twice"]),
        (" ¿Qué pasó ? ¡Sí !", "spa", [" ¿Qué", " pasó ?", " ¡Sí !"]),
        (" - Oui - non", "fra", [" - Oui -", " non"]),
        ("你好，世界。", "zho", ["你", "好，", "世", "界。"]),
        ("「はい」と", "jpn", ["「は", "い」", "と"]),
        ("...", "eng", ["..."]),
    ],
)
def test_words(vocabulary, text, lang, words):
    tokens = tokens_of(vocabulary, text)
    pieces = vocabulary.pieces(tokens, lang)
    assert [piece.text for piece in pieces] == words
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == len(tokens)


def test_marks_take_no_part_in_times(vocabulary):
    (piece,) = vocabulary.pieces(tokens_of(vocabulary, "ab!!"), "eng")
    assert (piece.timed_start, piece.timed_end, piece.end) == (0, 2, 4)


def test_broken_bytes_are_no_fault(vocabulary):
    tokens = tokens_of(vocabulary, "a界b")
    broken = [tokens[0], tokens[1], *tokens[4:]]  # one byte of three
    pieces = vocabulary.pieces(broken, "zho")
    assert "".join(piece.text for piece in pieces).startswith("a")
    assert pieces[-1].end == len(broken)


def test_another_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [{"content": "[PAD]", "id": 0}]}')
    with pytest.raises(CheckpointError, match=r"must be Whisper's"):
        WhisperVocabulary.read(tmp_path)
