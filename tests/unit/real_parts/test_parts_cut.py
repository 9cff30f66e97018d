"""Networks are cut, not changed."""

import numpy as np
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    Gemma3TextConfig,
    Gemma3TextModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from encoders.audio_tokens.framing import framing_of
from encoders.audio_tokens.networks import load_config, load_encoder_network, load_extractor

_TINY = {
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 3,
    "intermediate_size": 32,
    "vocab_size": 12,
}


def _tokenizer(folder):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefg"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)


def _same_below(cut, whole):
    ids = torch.arange(5, 12)[None]
    with torch.no_grad():
        states = whole(ids, output_hidden_states=True).hidden_states
        found = cut(ids, output_hidden_states=True).hidden_states
    assert len(found) == 3
    torch.testing.assert_close(found[1], states[1])
    return found[2], states[2]


def test_the_lower_layers_of_bert_do_what_they_did(example, tmp_path):
    torch.manual_seed(0)
    whole = BertModel(BertConfig(**_TINY)).eval()
    whole.save_pretrained(tmp_path / "whole")
    _tokenizer(tmp_path / "whole")
    example("parts").lower_layers(tmp_path / "whole", 2, tmp_path / "cut")
    cut = AutoModel.from_pretrained(tmp_path / "cut").eval()
    torch.testing.assert_close(*_same_below(cut, whole))
    assert (tmp_path / "cut" / "tokenizer.json").is_file()


def test_the_lower_layers_of_gemma_do_what_they_did(example, tmp_path):
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        **_TINY, num_key_value_heads=1, head_dim=8, pad_token_id=0, eos_token_id=1, bos_token_id=2
    )
    whole = Gemma3TextModel(config).eval()
    whole.save_pretrained(tmp_path / "whole")
    _tokenizer(tmp_path / "whole")
    example("parts").lower_layers(tmp_path / "whole", 2, tmp_path / "cut")
    cut = AutoModel.from_pretrained(tmp_path / "cut").eval()
    assert cut.config.layer_types == whole.config.layer_types[:2]
    _same_below(cut, whole)  # the last of Gemma's hidden states has gone through its norm


def test_whisper_hears_short_clips_with_its_own_weights(example, tmp_path):
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=16, encoder_layers=2, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_mel_bins=80,
        vocab_size=20, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    whole = WhisperModel(config)
    whole.save_pretrained(tmp_path / "whole")
    WhisperFeatureExtractor(feature_size=80).save_pretrained(tmp_path / "whole")
    example("parts").short_window(tmp_path / "whole", 2, tmp_path / "short")
    network = load_encoder_network(tmp_path / "short", 2)
    assert framing_of(load_config(tmp_path / "short").to_dict(), "short").max_clip_s == 2.0
    positions = network.embed_positions.weight
    torch.testing.assert_close(positions, whole.encoder.embed_positions.weight[:100])
    torch.testing.assert_close(network.layers[1].fc1.weight, whole.encoder.layers[1].fc1.weight)
    features = load_extractor(tmp_path / "short")(
        np.zeros(8000, np.float32), sampling_rate=16000, return_tensors="pt"
    )["input_features"]
    assert features.shape == (1, 80, 200)
    with torch.no_grad():
        assert network(features).last_hidden_state.shape == (1, 100, 16)
