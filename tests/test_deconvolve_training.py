import itertools
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from haplolens.deconvolve import features  # noqa: E402
from haplolens.deconvolve.export import PARITY, export_onnx  # noqa: E402
from haplolens.deconvolve.inference import Deconvolver as OnnxDeconvolver  # noqa: E402
from haplolens.deconvolve.loss import log_loss, mode_loss, set_loss  # noqa: E402
from haplolens.deconvolve.network import Batch, Deconvolver  # noqa: E402
from haplolens.deconvolve.pool import (  # noqa: E402
    draw_examples,
    make_pool,
    read_pool,
    stack,
    write_examples,
)
from haplolens.deconvolve.training import (  # noqa: E402
    Recipe,
    answers,
    load_network,
    loss_of,
    reverse,
    save_network,
    score,
    to_tensors,
    train_network,
)
from haplolens.errors import InputError  # noqa: E402


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    path = tmp_path_factory.mktemp("pool") / "shard.npz"
    rng = np.random.default_rng(1)
    examples = []
    while len(examples) < 60:
        examples += draw_examples([], rng)
    write_examples(examples, path)
    return [e for e in read_pool([path]) if e.n_variants < 90][:40]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def _random_network(**options):
    torch.manual_seed(0)
    network = Deconvolver(**{"width": 16, "depth": 2, "heads": 8, **options})
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return network.eval()


def _answer(network, batch):
    with torch.no_grad():
        return network(*(to_tensors(batch)[name] for name in Batch._fields))


def test_untrained_network__is_its_start(pool):
    for before, after in answers(Deconvolver(), pool):
        np.testing.assert_allclose(before, after, atol=2e-3)


@pytest.mark.parametrize("options", [{}, {"see_ld": False}, {"kernel": 1}])
def test_network__padding_changes_nothing(pool, options):
    network = _random_network(**options)
    small, large = sorted(pool, key=lambda e: e.n_variants)[:: len(pool) - 1]
    assert small.n_variants < large.n_variants
    alone, beside = _answer(network, stack([small])), _answer(network, stack([small, large]))
    n = small.n_variants
    np.testing.assert_allclose(alone[0][0], beside[0][0, :, : n + 1], atol=1e-4)
    np.testing.assert_allclose(alone[1][0], beside[1][0, :n], atol=1e-4)


def test_network__reads_the_first_numbers_alone(pool):
    """As the ablation has it: one that is blind to the last ones does not see them change."""
    network = _random_network(reads=(36, 9, 16))
    batch = stack(pool[:3])
    before = _answer(network, batch)
    for name, n_read in zip(("variants", "slots", "context"), (36, 9, 16), strict=True):
        batch[name] = batch[name].copy()
        batch[name][..., n_read:] += 3.0
    for a, b in zip(before, _answer(network, batch), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(_answer(_random_network(), batch)[0], before[0])


def test_network__a_claim_reads_variant_slot_and_both_side_by_side():
    network = _random_network()
    rng = np.random.default_rng(2)
    state, slot, slots = (
        torch.tensor(rng.normal(size=size), dtype=torch.float32)
        for size in ((3, 11, 16), (3, 8, 16), (3, 8, 11, network.reads[1]))
    )
    side_by_side = torch.cat(
        [state[:, None].expand(-1, 8, -1, -1), slot[:, :, None].expand(-1, -1, 11, -1), slots], dim=3
    )
    with torch.no_grad():
        match = network.query(slot) @ network.key(state).transpose(1, 2) / 4.0
        expected = network.claim(side_by_side).squeeze(3) + match
        seen = network._steps(state, slot, slots)
    np.testing.assert_allclose(seen, expected, atol=1e-5)


def test_reverse__twice_is_nothing(pool):
    batch = to_tensors(stack(pool[:3]))
    for name, value in reverse(reverse(batch)).items():
        assert torch.equal(value, batch[name]), name


def _random_slots(rng, n_slots, n_variants):
    return torch.log_softmax(torch.tensor(rng.normal(size=(1, n_slots, 1 + n_variants)) * 2), dim=2)


@pytest.mark.parametrize("n_causes", [0, 1, 2, 3])
def test_set_loss__sums_all_ways_of_holding_the_causes(n_causes):
    rng = np.random.default_rng(n_causes)
    log_slots = _random_slots(rng, 4, 7)
    causes = rng.choice(7, n_causes, replace=False)
    accepted = torch.zeros(1, 3, 7, dtype=torch.float64)
    for c, at in enumerate(causes):
        accepted[0, c, at] = 1.0
    share = log_slots.exp()[0].numpy()
    total = 0.0
    for holders in itertools.permutations(range(4), n_causes):
        chance = 1.0
        for slot in range(4):
            chance *= share[slot, 1 + causes[holders.index(slot)]] if slot in holders else share[slot, 0]
        total += chance
    ours = set_loss(log_slots, accepted, torch.tensor([n_causes]))
    np.testing.assert_allclose(float(ours), -np.log(total), rtol=1e-5)


def test_log_loss__is_that_of_the_pips():
    log_slots = _random_slots(np.random.default_rng(5), 3, 6)
    causal = torch.tensor([[1.0, 0, 0, 1, 0, 0]])
    there = torch.tensor([[1.0, 1, 1, 1, 1, 0]])
    pip = 1 - np.prod(1 - log_slots.exp()[0, :, 1:].numpy(), axis=0)
    expected = -np.log(np.where(causal[0], pip, 1 - pip))[:5].sum()
    np.testing.assert_allclose(float(log_loss(log_slots, causal, there)), expected, rtol=1e-5)


def test_losses__are_least_at_the_truth():
    """A proper score: over many draws, the true distribution of one slot beats every other one."""
    rng = np.random.default_rng(0)
    true = np.array([0.4, 0.3, 0.2, 0.1])  # none, three variants
    drawn = rng.choice(4, 4000, p=true)
    causal = torch.tensor(np.eye(4)[drawn][:, 1:], dtype=torch.float32)
    there, count = torch.ones(4000, 3), torch.tensor((drawn > 0).astype(int))

    def loss(p):
        slots = torch.log(torch.tensor(p, dtype=torch.float32)).expand(4000, 1, 4)
        return float((log_loss(slots, causal, there) + set_loss(slots, causal[:, None], count)).mean())

    best = loss(true)
    for other in (
        [0.25, 0.25, 0.25, 0.25],
        [0.4, 0.2, 0.3, 0.1],
        [0.5, 0.3, 0.15, 0.05],
        [0.3, 0.4, 0.2, 0.1],
    ):
        assert best < loss(np.array(other))


def test_mode_loss__counts_causes_with_a_mode_alone():
    log_modes = torch.log_softmax(torch.randn(1, 4, 5), dim=2)
    assert float(mode_loss(log_modes, torch.tensor([[-1, -1, -1, -1]]))) == 0.0
    assert torch.allclose(mode_loss(log_modes, torch.tensor([[-1, 2, -1, -1]])), -log_modes[0, 1, 2])


def test_training__learns(pool):
    network = Deconvolver(width=16, depth=1)
    batch = to_tensors(stack(pool))
    with torch.no_grad():
        before = float(loss_of(network, batch).mean())
    train_network(network, pool, Recipe(passes=30, learning_rate=3e-3))
    with torch.no_grad():
        assert float(loss_of(network, batch).mean()) < 0.95 * before


def test_training__the_same_seed_gives_the_same_weights(pool):
    torch.manual_seed(3)
    first = Deconvolver(width=16, depth=1)
    second = Deconvolver(width=16, depth=1)
    second.load_state_dict(first.state_dict())
    for network in (first, second):
        train_network(network, pool, Recipe(passes=1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_training__goes_on_where_it_was_stopped(pool, tmp_path, monkeypatch):
    monkeypatch.setattr("haplolens.deconvolve.training.KEPT_EVERY", -1.0)
    torch.manual_seed(4)
    whole = Deconvolver(width=16, depth=1)
    stopped = Deconvolver(width=16, depth=1)
    stopped.load_state_dict(whole.state_dict())
    recipe = Recipe(passes=6)
    train_network(whole, pool, recipe)

    class StopError(Exception):
        pass

    done = [0]

    def stop(k):
        done[0] += k
        if done[0] > 500:
            raise StopError

    state = tmp_path / "state.safetensors"
    with pytest.raises(StopError):
        train_network(stopped, pool, recipe, checkpoint=state, progress=stop)
    again = Deconvolver(width=16, depth=1)
    train_network(again, pool, recipe, checkpoint=state)
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_training__two_processes_average_their_steps(pool):
    network = train_network(Deconvolver(width=16, depth=1), pool, Recipe(passes=2), workers=2)
    assert np.isfinite(score(pool, [after for _, after in answers(network, pool)])["log_loss"])


def test_export__answers_as_torch_does(pool, tmp_path):
    network = _random_network()
    by_size = sorted(pool, key=lambda e: e.n_variants)
    assert export_onnx(network, by_size[:: len(pool) // 4], tmp_path / "network.onnx") <= PARITY
    save_network(network, tmp_path, {})
    assert OnnxDeconvolver.load(tmp_path).familiar is None
    copy = load_network(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), copy.parameters(), strict=True))


def test_network__of_another_version_is_refused(monkeypatch):
    from importlib.resources import as_file, files

    monkeypatch.setattr(features, "READS", (42, 10, 29))
    with as_file(files("haplolens.deconvolve") / "weights") as folder:
        for load in (load_network, OnnxDeconvolver.load):
            with pytest.raises(
                InputError, match=r"reads \(41, 10, 27\) .* gives \(42, 10, 29\); make it anew"
            ):
                load(folder)


def test_shipped_weights__are_those_of_the_shipped_onnx(pool):
    from importlib.resources import as_file, files

    with as_file(files("haplolens.deconvolve") / "weights") as folder:
        network, shipped = load_network(folder), OnnxDeconvolver.load(folder)
        assert json.loads((folder / "network.json").read_text())["options"]["heads"] == 8
    for example in pool[:6]:
        batch = stack([example])
        ours = _answer(network, batch)
        fed = {name: batch[name] for name in Batch._fields}
        theirs = shipped.session.run(None, fed)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(np.exp(a.numpy()), np.exp(b), atol=PARITY)


def test_pool__a_shard_depends_on_its_seed_alone(tmp_path):
    how = {"data": None, "seed": 5}
    one = make_pool(tmp_path / "one", 400, **how)
    two = make_pool(tmp_path / "two", 400, threads=2, **how)
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    kept = one[0].stat().st_mtime_ns
    assert make_pool(tmp_path / "one", 400, **how) == one
    assert one[0].stat().st_mtime_ns == kept
