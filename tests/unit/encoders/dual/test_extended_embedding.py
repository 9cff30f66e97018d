import torch
from torch import nn
from transformers.models.gemma3.modeling_gemma3 import Gemma3TextScaledWordEmbedding

from encoders.dual.extended_embedding import ExtendedEmbedding, extend, joined_state, split


class Around(nn.Module):
    """A network with one table under two names, as T5."""

    def __init__(self, table):
        super().__init__()
        self.shared = table
        self.encoder = nn.ModuleDict({"embed_tokens": table})


def test_lookup_is_that_of_one_matrix():
    torch.manual_seed(0)
    whole = nn.Embedding(10, 4, padding_idx=0)
    ids = torch.tensor([[0, 9, 6, 5], [7, 1, 2, 9]])
    parted = split(whole, 7)
    assert torch.equal(parted(ids), whole(ids))
    assert parted.text.num_embeddings == 7
    assert parted.audio.num_embeddings == 3
    assert parted.text.padding_idx == 0
    assert parted.audio.padding_idx is None
    around = Around(parted)
    assert torch.equal(joined_state(around, around.state_dict())["shared.weight"], whole.weight)


def test_rows_of_audio_are_scaled_like_those_of_text():
    torch.manual_seed(0)
    whole = Gemma3TextScaledWordEmbedding(10, 4, 0, embed_scale=3.0)
    ids = torch.tensor([[1, 9]])
    assert torch.equal(split(whole, 7)(ids), whole(ids))
    assert torch.equal(split(whole, 7)(ids)[0, 1], whole.weight[9] * 3.0)


def test_new_rows_are_drawn_like_text():
    torch.manual_seed(1)
    text = nn.Embedding(5000, 8)
    with torch.no_grad():
        text.weight.mul_(torch.arange(1.0, 9.0)).add_(torch.arange(8.0) * 10)
    before = text.weight.clone()
    table = extend(text, 4000, seed=5)
    rows = table.audio.weight
    assert table.text is text
    assert torch.equal(text.weight, before)
    assert torch.allclose(rows.std(0), text.weight.std(0), rtol=0.05)
    assert (rows.mean(0) - text.weight.mean(0)).abs().max() < 0.5
    torch.manual_seed(99)
    assert torch.equal(extend(text, 4000, seed=5).audio.weight, rows)
    assert not torch.equal(extend(text, 4000, seed=6).audio.weight, rows)


def test_gradients_reach_only_the_rows_that_were_looked_up():
    table = split(nn.Embedding(10, 4), 7)
    table(torch.tensor([[1, 8, 8]])).sum().backward()
    assert table.text.weight.grad[:, 0].tolist() == [0, 1, 0, 0, 0, 0, 0]
    assert table.audio.weight.grad[:, 0].tolist() == [0, 2, 0]


def test_one_table_under_two_names_stays_one():
    table = ExtendedEmbedding(nn.Embedding(3, 2), torch.ones(2, 2))
    network = Around(table)
    state = joined_state(network, network.state_dict())
    assert sorted(state) == ["encoder.embed_tokens.weight", "shared.weight"]
    assert state["shared.weight"] is state["encoder.embed_tokens.weight"]
    assert state["shared.weight"].shape == (5, 2)
