"""Networks are cut, not changed."""

import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    BertTokenizerFast,
    Gemma3TextConfig,
    Gemma3TextModel,
)

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
