"""A tiny BERT as a TensorFlow checkpoint, and back."""

import re

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForPreTraining

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Das", "das", "Haus", "##chen", "groß", "."]


@pytest.fixture
def network():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=128,
        num_hidden_layers=12,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.2,
        layer_norm_eps=1e-12,
    )
    network = BertForPreTraining(config).eval()
    for name, weight in network.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    return network


def as_tensorflow(network) -> dict[str, np.ndarray]:
    """Names by convert_bert_pytorch_checkpoint_to_original_tf.py of transformers, under a root."""
    found = {}
    for name, value in network.state_dict().items():
        if "seq_relationship" in name or "decoder" in name:
            continue
        if name.endswith("_embeddings.weight"):
            name = name.removesuffix(".weight")
        elif name.endswith("weight") and "LayerNorm" not in name:
            name, value = name.removesuffix("weight") + "kernel", value.T
        name = name.replace("predictions.bias", "predictions.output_bias")
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        name = name.replace("LayerNorm.bias", "LayerNorm.beta")
        name = re.sub(r"layer\.(\d+)", r"layer_\1", name)
        found["module/" + name.replace(".", "/")] = value.numpy()
    return found


@pytest.fixture
def checkpoint(write_checkpoint, tmp_path):
    def write(tensors):
        folder = write_checkpoint(tmp_path / "checkpoint", tensors)
        (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
        return folder

    return write


def test_the_converted_network_computes_the_same(example, network, checkpoint, tmp_path):
    target = tmp_path / "hf"
    example("multilingual_bert").convert(checkpoint(as_tensorflow(network)), target)
    ids = torch.tensor([[2, 5, 7, 8, 10, 3]])
    with torch.no_grad():
        wanted = network(ids)
        made = type(network).from_pretrained(target).eval()(ids)
        pooled = AutoModel.from_pretrained(target).eval()(ids).pooler_output
        torch.testing.assert_close(pooled, network.bert(ids).pooler_output)
    torch.testing.assert_close(made.prediction_logits, wanted.prediction_logits)
    assert wanted.prediction_logits.std() > 1


def test_the_tokenizer_keeps_case_and_accents(example, network, checkpoint, tmp_path):
    target = tmp_path / "hf"
    example("multilingual_bert").convert(checkpoint(as_tensorflow(network)), target)
    tokenizer = AutoTokenizer.from_pretrained(target)
    assert tokenizer.tokenize("Das das Häuschen groß.") == ["Das", "das", "[UNK]", "groß", "."]
    assert tokenizer("Hauschen")["input_ids"] == [2, 7, 8, 3]
    assert tokenizer.model_max_length == 16


@pytest.mark.parametrize("name", ["module/bert/pooler/dense/bias", "module/bert/encoder/layer_3"])
def test_other_tensors_are_refused(example, network, checkpoint, tmp_path, name):
    tensors = as_tensorflow(network)
    if name in tensors:
        del tensors[name]
    else:
        tensors["module/global_step"] = np.zeros(1)
    with pytest.raises(SystemExit, match="checkpoint: must hold"):
        example("multilingual_bert").convert(checkpoint(tensors), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_vocabulary_of_another_model_is_refused(example, network, checkpoint, tmp_path):
    folder = checkpoint(as_tensorflow(network))
    (folder / "vocab.txt").write_text("\n".join(WORDS[:-1]) + "\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="must have 11 lines"):
        example("multilingual_bert").convert(folder, tmp_path / "hf")
