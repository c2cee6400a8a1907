"""Architectures: silent before training, sealed chromosomes, real distances, the size that their card tells."""

import numpy as np
import pandas as pd
import pytest
import torch

from haplolens.data.packed import Packed
from haplolens.errors import ConfigError, InputError
from haplolens.predict.encode import fit_table
from haplolens.predict.networks import NETWORKS, Channels, Layout, ld_edges
from haplolens.predict.networks.autoencoder import Autoencoder
from haplolens.predict.networks.cnn_transformer import CnnTransformer
from haplolens.predict.networks.graph import Graph
from haplolens.predict.networks.parts import NORMS, Attention, DropPath, Norm, Places
from haplolens.predict.networks.patches import cut, cut_blocks, lay
from haplolens.predict.networks.stem import Stem
from haplolens.predict.networks.transformer import Transformer

SIZES = (13, 22, 7)
"""Variants on three chromosomes."""


def layout_of(sizes=SIZES, *, n_channels=3, n_covariates=5, n_traits=2, seed=1, **extra):
    rng = np.random.default_rng(seed)
    chrom = np.repeat(np.arange(len(sizes)), sizes)
    pos = np.concatenate([np.sort(rng.integers(1, 9_000_000, size)) for size in sizes]).astype(float)
    near = np.stack([np.arange(chrom.size - 1), np.arange(1, chrom.size)])
    edges = near[:, chrom[near[0]] == chrom[near[1]]]
    r = rng.uniform(-0.9, 0.9, edges.shape[1]).astype(np.float32)
    return Layout(chrom, n_channels, n_covariates, n_traits, pos=pos, edges=edges, edge_r=r, **extra)


def stir(network, seed=2):
    """Random weights everywhere, so that nothing is silent."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in network.parameters():
            weights.copy_(torch.randn(weights.shape, generator=rng) * 0.3)
    return network.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_network__is_silent_before_training_and_learns_everywhere(name):
    layout = layout_of()
    torch.manual_seed(3)
    network = NETWORKS[name](layout)
    channels, covariates = torch.randn(4, 42, 3), torch.randn(4, 5)
    answer = network(channels, covariates)
    assert answer.shape == (4, 2)
    assert (answer == 0).all()
    stir(network).train()
    extra = network.auxiliary(channels)
    (network(channels, covariates).square().sum() + (0 if extra is None else extra)).backward()
    idle = [name for name, weights in network.named_parameters() if weights.grad is None]
    assert not idle
    assert all(weights.shape[-1] > 0 and weights.requires_grad for weights in network.input_weights())


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("sizes", [(1,), (2, 1), (5, 1, 90)])
def test_network__takes_few_variants_and_no_covariates(name, sizes):
    layout = layout_of(sizes, n_channels=1, n_covariates=0, n_traits=1)
    network = stir(NETWORKS[name](layout))
    answer = network(torch.randn(3, sum(sizes), 1), torch.zeros(3, 0))
    assert answer.shape == (3, 1)
    assert torch.isfinite(answer).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_network__every_variant_and_covariate_has_a_voice(name):
    layout = layout_of(n_traits=1)
    network = stir(NETWORKS[name](layout, direct=False), seed=4)
    channels, covariates = torch.randn(6, 42, 3), torch.randn(6, 5)
    channels.requires_grad_(True)
    covariates.requires_grad_(True)
    network(channels, covariates).sum().backward()
    assert (channels.grad.abs().amax((0, 2)) > 0).all()
    assert (covariates.grad.abs().amax(0) > 0).all()


@pytest.mark.parametrize(
    ("name", "n_channels"), [(n, c) for n in NETWORKS for c in (2, 4, 8)]
)  # fmt: skip
def test_network__has_the_size_of_its_card(name, n_channels):
    layout = layout_of((100,) * 10, n_channels=n_channels, n_covariates=10, n_traits=1)
    count = sum(weights.numel() for weights in NETWORKS[name](layout).parameters())
    assert count == pytest.approx(NETWORKS[name].card.parameters, rel=0.15 if n_channels == 4 else 0.5)
    told = {"cnn": 0.5e6, "cnn_transformer": 1.5e6, "graph": 0.8e6, "transformer": 3e6}
    if name in told:
        assert count == pytest.approx(told[name], rel=0.15)


@pytest.mark.parametrize("kernel", [3, 7, 9])
def test_stem__no_convolution_reaches_into_another_chromosome(kernel):
    layout = layout_of((40, 70, 33), n_channels=2)
    stem = stir(Stem(layout, width_input=3, widths=(5, 6), kernel=kernel, most=11, norm="layer", dropout=0.1))
    assert len(stem.convolutions) == 2
    channels = torch.randn(2, 143, 2)
    before = stem(channels)
    changed = channels.clone()
    changed[:, 40:110] += 1.0
    moved = (stem(changed) - before).abs().amax((0, 2)) > 0
    np.testing.assert_array_equal(moved.numpy(), stem.chrom == 1)
    alone = Layout(np.zeros(70, np.int64), 2, pos=layout.pos[40:110])
    single = Stem(
        alone, width_input=3, widths=(5, 6), kernel=kernel, most=11, norm="layer", dropout=0.1
    ).eval()
    weights = {name: value for name, value in stem.state_dict().items() if name != "local.weight"}
    single.load_state_dict({**weights, "local.weight": stem.local.weight[40:110]})
    distance = stem.distance[stem.source == 40]  # the layout alone would scale its distances otherwise
    assert distance.shape == (1, 2)
    inside = (stem.source >= 40) & (stem.source < 110)
    single.distance[:70] = stem.distance[inside]
    torch.testing.assert_close(single(channels[:, 40:110]), before[:, stem.chrom == 1])


def test_stem__windows_of_many_variants_stay_in_their_chromosome_and_tell_of_every_one():
    layout = layout_of((40, 70, 33), n_channels=2)
    options = {"width_input": 3, "widths": (5, 6), "kernel": 9, "most": 5, "norm": "layer", "dropout": 0.1}
    stem = stir(Stem(layout, **options, folded=2))
    assert (stem.fold, len(stem.convolutions), stem.width) == (16, 1, 5)
    channels = torch.randn(2, 143, 2, requires_grad=True)
    before = stem(channels)
    before.square().sum().backward()
    assert (channels.grad.abs().amax((0, 2)) > 0).all()
    changed = channels.detach().clone()
    changed[:, 40:110] += 1.0
    moved = (stem(changed) - before).abs().amax((0, 2)) > 0
    np.testing.assert_array_equal(moved.numpy(), stem.chrom == 1)
    plain = Stem(layout, **options)
    np.testing.assert_array_equal(stem.place, plain.place)
    np.testing.assert_array_equal(stem.kept, plain.kept)


def test_patches__cover_every_variant_once_and_stay_in_their_chromosome():
    layout = layout_of((9, 4, 17))
    for size in (1, 4, 5, 64):
        index = cut(layout, size).index
        held = index[index < 30]
        np.testing.assert_array_equal(np.sort(held), np.arange(30))
        assert all(len(set(layout.chrom[row[row < 30]])) == 1 for row in index)
    blocks = np.array([0] * 3 + [1] * 9 + [2] * 18)  # block 1 runs over the end of the first chromosome
    patches = cut_blocks(layout_of((9, 4, 17), blocks=blocks))
    assert [row[row < 30].size for row in patches.index] == [3, 6, 3, 1, 17]
    np.testing.assert_array_equal(patches.chrom, [0, 0, 1, 1, 2])


def test_lay__leaves_room_and_starts_each_chromosome_at_a_multiple():
    layout = layout_of((9, 4, 17))
    track = lay(layout, 8, 5)
    assert track.source.size % 8 == 0
    for first in (0, 9, 13):
        assert np.flatnonzero(track.source == first)[0] % 8 == 0
    last = np.flatnonzero(track.source < 30)
    jumps = np.diff(last)[[8, 12]]
    assert (jumps > 5).all()


def test_layout__refuses_what_is_not_in_order():
    with pytest.raises(InputError, match="3 runs of 2 chromosomes"):
        Layout(np.array([0, 1, 0]))
    with pytest.raises(InputError, match=r"step back .* 1 of 3 variants \(first at 2\)"):
        Layout(np.array([0, 0, 0]), pos=np.array([5.0, 9.0, 2.0]))
    with pytest.raises(InputError, match="at least 1 variant"):
        Layout(np.array([], np.int64))


def test_layout__reads_a_table_and_comes_back_from_its_parts():
    table = pd.DataFrame({"chrom": ["X", "X", "10"], "pos": [5, 6_000_005, 2], "cm": [0.5, 7.5, np.nan]})
    layout = Layout.of(table, n_channels=2)
    np.testing.assert_array_equal(layout.chrom, [0, 0, 1])
    np.testing.assert_allclose(layout.place, [5e-6, 6.000005, 2e-6])  # one position of the map is unknown
    again = Layout.from_parts(*layout_of(blocks=np.arange(42)).to_parts())
    np.testing.assert_array_equal(again.blocks, np.arange(42))
    assert (again.n_channels, again.n_covariates, again.n_traits) == (3, 5, 2)
    assert Layout.of(table.assign(cm=[0.5, 7.5, 0.1])).place[1] == 7.5


def test_channels__are_the_table_for_hard_calls_and_its_mean_for_probabilities():
    rng = np.random.default_rng(5)
    codes = rng.integers(0, 4, (6, 11)).astype(np.uint8)
    variants = pd.DataFrame({"ref": ["A"] * 11, "alt": ["C"] * 11})
    table = fit_table("adddom", Packed(codes), variants)
    look = Channels(table.values)
    expected = np.stack([[table.values[v, code] for v, code in enumerate(row)] for row in codes])
    np.testing.assert_array_equal(look(torch.from_numpy(codes)).numpy(), expected)
    shares = rng.integers(0, 128, (6, 11, 2)).astype(np.uint8)
    shares[codes == 3] = 255
    packed = Packed(codes, shares)
    got = look(torch.from_numpy(codes), torch.from_numpy(shares)).numpy()
    np.testing.assert_allclose(got, table.look_up(packed), atol=1e-5)
    assert not look.state_dict()  # the table has its own place in a saved model


@pytest.mark.parametrize("kind", ["softmax", "linear"])
def test_attention__padding_is_not_looked_at(kind):
    attention = stir(Attention(12, 3, kind=kind))
    tokens = torch.randn(2, 7, 12)
    there = torch.tensor([True] * 5 + [False] * 2)
    changed = tokens.clone()
    changed[:, 5:] = 9.0
    torch.testing.assert_close(attention(changed, there)[:, :5], attention(tokens[:, :5]))
    assert not torch.allclose(attention(changed)[:, :5], attention(tokens[:, :5]))


def test_attention__linear_is_its_kernel_written_out():
    attention = stir(Attention(6, 2, kind="linear"))
    tokens = torch.randn(1, 5, 6)
    split = attention.ask(tokens).view(5, 3, 2, 3)
    rows = []
    for i in range(5):
        heads = []
        for h in range(2):
            query = torch.nn.functional.elu(split[i, 0, h]) + 1
            keys = torch.nn.functional.elu(split[:, 1, h]) + 1
            weights = keys @ query
            heads.append((weights[:, None] * split[:, 2, h]).sum(0) / weights.sum())
        rows.append(torch.cat(heads))
    torch.testing.assert_close(
        attention(tokens)[0], attention.answer(torch.stack(rows)), rtol=1e-4, atol=1e-4
    )


def test_attention__dropout_never_hides_every_token():
    attention = Attention(8, 2, dropout=0.95)
    attention.train()
    assert torch.isfinite(attention(torch.randn(200, 3, 8))).all()


def test_attention__refuses_heads_that_do_not_divide():
    with pytest.raises(ConfigError, match="5 heads do not divide"):
        Attention(12, 5)
    with pytest.raises(ConfigError, match="did you mean `layer`"):
        Norm("layr", 4)


@pytest.mark.parametrize("name", NORMS)
def test_norm__works_on_the_last_axis(name):
    torch.manual_seed(6)
    states = torch.randn(40, 9, 16) * 3 + 2
    out = Norm(name, 16)(states)
    assert out.shape == states.shape
    if name == "batch":
        torch.testing.assert_close(out.mean((0, 1)), torch.zeros(16), atol=1e-4, rtol=0)
    elif name == "layer":
        torch.testing.assert_close(out.mean(2), torch.zeros(40, 9), atol=1e-4, rtol=0)
    elif name == "rms":
        torch.testing.assert_close(out.square().mean(2), torch.ones(40, 9), atol=1e-3, rtol=0)
    elif name == "none":
        assert torch.equal(out, states)
    else:
        torch.testing.assert_close(out.view(40, 9, 8, 2).mean(3), torch.zeros(40, 9, 8), atol=1e-3, rtol=0)


def test_drop_path__keeps_the_mean_and_drops_whole_samples():
    torch.manual_seed(7)
    branch = torch.ones(4000, 2, 3)
    out = DropPath(0.25).train()(branch)
    per_sample = out.flatten(1)
    assert ((per_sample == 0).all(1) | (per_sample > 1).all(1)).all()
    assert out.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(DropPath(0.25).eval()(branch), branch)


def test_places__follow_distance_and_not_the_index():
    torch.manual_seed(12)
    place, chrom = np.array([1.0, 1.001, 60.0, 1.0]), np.array([0, 0, 0, 1])
    told = Places(place, chrom, 8)().detach()
    near, far = (told[0] - told[1]).norm(), (told[0] - told[2]).norm()
    assert near < 0.5 * far
    assert not torch.allclose(told[0], told[3])  # the same place on another chromosome


def dense_messages(graph, nodes):
    matrix = np.zeros((graph.n_variants,) * 2)
    for row in range(graph.n_variants):
        for at in range(graph.rows[row], graph.rows[row + 1]):
            matrix[row, graph.columns[at]] = graph.weights[at]
    return matrix, torch.einsum("uv,vbw->ubw", torch.from_numpy(matrix).float(), nodes)


def test_graph__messages_are_the_product_with_the_ld_matrix_forwards_and_backwards():
    layout = layout_of()
    graph = Graph(layout)
    nodes = torch.randn(42, 4, 3, requires_grad=True)
    matrix, expected = dense_messages(graph, nodes)
    np.testing.assert_allclose(matrix, matrix.T)
    i, j = layout.edges[:, 8]
    degree = [1 + np.abs(layout.edge_r[(layout.edges == v).any(0)]).sum() for v in (i, j)]
    assert matrix[i, j] == pytest.approx(layout.edge_r[8] / np.sqrt(degree[0] * degree[1]), rel=1e-5)
    pull = torch.randn(42, 4, 3)
    (wanted,) = torch.autograd.grad((expected * pull).sum(), nodes)
    got = graph.spread(nodes)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)
    (backwards,) = torch.autograd.grad((got * pull).sum(), nodes)
    torch.testing.assert_close(backwards, wanted, rtol=1e-4, atol=1e-5)


def test_graph__attention_reads_neighbours_alone():
    layout = layout_of((4, 5), n_channels=2, n_covariates=0, n_traits=1)
    graph = stir(Graph(layout, attention=2, width=6, depth=1))
    nodes = torch.randn(9, 3, 6)
    changed = nodes.clone()
    changed[0] += torch.randn(3, 6)  # a constant would be lost in the norm
    moved = (graph.rounds[0](changed, graph) - graph.rounds[0](nodes, graph)).abs().amax((1, 2)) > 1e-6
    np.testing.assert_array_equal(np.flatnonzero(moved), [0, 1])


def test_ld_edges__are_those_of_the_full_correlation_matrix():
    rng = np.random.default_rng(8)
    base = rng.normal(size=(150, 60))
    data = base + np.roll(base, 1, axis=1) + 0.5 * np.roll(base, 2, axis=1)
    data = (data - data.mean(0)) / data.std(0)
    chrom = np.repeat([0, 1], [35, 25])
    edges, r = ld_edges(lambda columns: data[:, columns], chrom, window=20, min_r2=0.1, most=60)
    full = np.corrcoef(data.T)
    i, j = np.triu_indices(60, 1)
    wanted = (full[i, j] ** 2 >= 0.1) & (chrom[i] == chrom[j]) & (j - i <= 20)
    np.testing.assert_array_equal(edges, np.stack([i, j])[:, wanted])
    np.testing.assert_allclose(r, full[i, j][wanted], atol=1e-6)
    few, _ = ld_edges(lambda columns: data[:, columns], chrom, window=20, min_r2=0.1, most=1)
    strongest = {
        tuple(
            sorted(
                (v, int(np.argmax(np.where((chrom == chrom[v]) & (np.arange(60) != v), np.abs(full[v]), 0))))
            )
        )
        for v in range(60)
    }
    assert {tuple(pair) for pair in few.T} == strongest


def test_transformer__a_group_is_a_token_and_linear_attention_is_another_net():
    layout = layout_of(n_traits=1)
    exact = Transformer(layout, group=4, width=16, depth=2, heads=4)
    assert len(exact.tokens.source) == 4 + 6 + 2
    assert Transformer(layout, width=16, depth=1).tokens.source.shape == (42, 1)
    linear = Transformer(layout, group=4, width=16, depth=2, heads=4, attention="linear").eval()
    linear.load_state_dict(stir(exact).state_dict())
    channels, covariates = torch.randn(3, 42, 3), torch.randn(3, 5)
    assert not torch.allclose(linear(channels, covariates), exact(channels, covariates))


def test_cnn_transformer__haploblocks_can_be_the_tokens():
    blocks = np.repeat(np.arange(9), [5, 4, 4, 10, 2, 9, 1, 3, 4])
    layout = layout_of(blocks=blocks, n_traits=1)
    network = stir(CnnTransformer(layout, tokens="blocks", width=16, depth=1))
    assert network.readout.hidden.in_features == 9 * 8 + 5
    channels = torch.randn(2, 42, 3)
    changed = channels.clone()
    changed[:, 13:23] += 1.0  # the fourth block
    moved = (network.tokens(changed) - network.tokens(channels)).abs().amax((0, 2)) > 0
    np.testing.assert_array_equal(np.flatnonzero(moved), [3])
    with pytest.raises(ConfigError, match="patches or blocks"):
        CnnTransformer(layout, tokens="words")


def test_autoencoder__components_are_those_of_the_training_samples():
    rng = np.random.default_rng(9)
    held = rng.normal(size=(40, 42, 3)).astype(np.float32)
    held -= held.mean(0)
    network = Autoencoder(layout_of(), front="pca", latent=6)
    network.prepare(lambda columns: held[:, columns])
    got = network.encode(torch.from_numpy(held)).numpy()
    left, _, _ = np.linalg.svd(held.reshape(40, -1), full_matrices=False)
    np.testing.assert_allclose(np.abs(got), np.abs(left[:, :6]) * np.sqrt(40), rtol=1e-3, atol=1e-3)
    assert network.auxiliary(torch.from_numpy(held)) is None
    with pytest.raises(ConfigError, match="autoencoder or pca"):
        Autoencoder(layout_of(), front="umap")


def test_autoencoder__learns_to_rebuild_genotypes_that_hang_together():
    rng = np.random.default_rng(10)
    hidden = rng.normal(size=(200, 2))
    held = torch.from_numpy((hidden @ rng.normal(size=(2, 126))).reshape(200, 42, 3).astype(np.float32))
    torch.manual_seed(11)
    network = Autoencoder(layout_of(), latent=8)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(150):
        optimiser.zero_grad()
        network.auxiliary(held).backward()
        optimiser.step()
    assert network.auxiliary(held).item() < 0.35 * held.square().mean().item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", NETWORKS)
def test_network__cpu_and_gpu_agree(name):
    network = stir(NETWORKS[name](layout_of()))
    channels, covariates = torch.randn(4, 42, 3), torch.randn(4, 5)
    here = network(channels, covariates)
    there = network.cuda()(channels.cuda(), covariates.cuda()).cpu()
    torch.testing.assert_close(here, there, rtol=1e-3, atol=1e-3)
