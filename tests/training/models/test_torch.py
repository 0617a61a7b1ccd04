"""The torch cores on made-up data whose quantiles are known. N windows, K targets, Q levels."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import onnx
import onnxruntime
import pytest

from scaler.series import Floats
from training.features.extract import CoreInputs
from training.graph import IR_VERSION, OPSET
from training.models.torch_model.core import NetworkRecipe, TorchCore, lstm, mlp, transformer
from training.models.torch_model.export import with_int8_weights
from training.models.torch_model.fit import Fitting
from training.models.torch_model.network import Architecture
from training.progress import no_progress

LEVELS = (0.05, 0.25, 0.5, 0.9, 0.99)
KINDS = {"mlp": mlp, "lstm": lstm, "transformer": transformer}
SHORT = Fitting(epochs=3, batch_rows=128, threads=1)


@dataclass(frozen=True)
class Made:
    """Rows, what came, and the quantiles of what could have come."""

    seen: CoreInputs
    target_NK: Floats
    quantiles_NKQ: Floats


def made(rows: int, seed: int, from_sequence: bool = False) -> Made:
    """Three targets: a x + scale(x) noise, where x is a feature, or the last patches of the sequence."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, 6)).astype(np.float32)
    sequence = rng.standard_normal((rows, 10, 2)).astype(np.float32)
    x = sequence[:, -2:, 0].mean(axis=1) * 2 if from_sequence else features[:, 0]
    centre = x[:, None] * np.array([1.0, 2.0, -1.0])
    scale = np.exp(0.7 * features[:, 1, None]) * np.array([0.3, 0.5, 1.0])
    target = centre + scale * rng.standard_normal((rows, 3))
    normal = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
    quantiles = centre[..., None] + scale[..., None] * normal
    return Made(CoreInputs(features, sequence), target.astype(np.float32), quantiles.astype(np.float32))


def pinball(quantiles_NKQ: Floats, target_NK: Floats) -> float:
    """By its definition: what lies above counts with the level, what lies below with the rest."""
    miss = target_NK[..., None] - quantiles_NKQ
    level = np.array(LEVELS)
    return float(np.where(miss >= 0, level * miss, (level - 1) * miss).mean())


def fitted(core: TorchCore, learn: Made, judge: Made, seed: int = 0, progress=no_progress) -> dict[str, float]:
    return dict(core.fit(learn.seen, learn.target_NK, judge.seen, judge.target_NK, LEVELS, seed, progress))


def answer(graph: bytes, seen: CoreInputs) -> Floats:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options)
    return session.run(None, {"features": seen.features_NF, "sequence": seen.sequence_NPC})[0]


def some(seen: CoreInputs, rows: slice) -> CoreInputs:
    return CoreInputs(seen.features_NF[rows], seen.sequence_NPC[rows])


@pytest.fixture(scope="module")
def learn() -> Made:
    return made(500, 1)


@pytest.fixture(scope="module")
def judge() -> Made:
    return made(300, 2)


@dataclass(frozen=True)
class Ready:
    core: TorchCore
    figures: dict[str, float]
    graph: bytes
    judge: Made


@pytest.fixture(scope="module", params=list(KINDS))
def ready(request: pytest.FixtureRequest) -> Ready:
    """A core of each kind, fitted on what it can read, and its graph."""
    from_sequence = request.param != "mlp"
    usual = KINDS[request.param](Fitting(epochs=10, batch_rows=128, threads=1)).recipe
    core = TorchCore(replace(usual, built=replace(usual.built, width=48, layers=min(1, usual.built.layers))))
    judge = made(1000, 4, from_sequence)
    figures = fitted(core, made(2000, 3, from_sequence), judge)
    return Ready(core, figures, core.to_onnx(), judge)


def test_nine_in_ten_lie_below_the_level_of_nine_in_ten(ready: Ready):
    """Coverage of 0.9 is within 3 points for each target, on rows that no weight was fitted to."""
    fresh = made(3000, 5, ready.core.name != "mlp")
    covered = (fresh.target_NK <= ready.core.predict(fresh.seen)[..., LEVELS.index(0.9)]).mean(axis=0)
    assert covered == pytest.approx([0.9] * 3, abs=0.03)


def test_most_of_what_can_be_known_is_learned(ready: Ready):
    """The loss comes four fifths of the way from constant quantiles to the true ones."""
    fresh = made(3000, 6, ready.core.name != "mlp")
    best = pinball(fresh.quantiles_NKQ, fresh.target_NK)
    constant = pinball(np.quantile(fresh.target_NK, LEVELS, axis=0).T, fresh.target_NK)
    assert pinball(ready.core.predict(fresh.seen), fresh.target_NK) < constant - 0.8 * (constant - best)


def test_the_reported_loss_is_the_pinball_loss_of_the_answers(ready: Ready):
    """The figures agree with the loss computed here from the answers."""
    said = ready.core.predict(ready.judge.seen)
    assert ready.figures["held_out_loss"] == pytest.approx(pinball(said, ready.judge.target_NK), rel=1e-5)


def test_quantiles_ascend_however_wild_the_inputs(ready: Ready):
    """Inputs of 1e-30 to 1e30 give finite quantiles in order, from the core and from its graph."""
    rng = np.random.default_rng(7)
    sizes = ((60, 6), (60, 10, 2))
    wild = CoreInputs(*((rng.standard_normal(s) * 10.0 ** rng.uniform(-30, 30, s)).astype(np.float32) for s in sizes))
    said = ready.core.predict(wild)
    assert np.isfinite(said).all()
    assert (np.diff(said, axis=-1) >= 0).all()
    np.testing.assert_allclose(answer(ready.graph, wild), said, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 7])
def test_the_graph_answers_as_the_core(ready: Ready, rows: int):
    """Core and graph agree to 1e-4, for one row and for several."""
    seen = some(ready.judge.seen, slice(0, rows))
    np.testing.assert_allclose(answer(ready.graph, seen), ready.core.predict(seen), rtol=1e-4, atol=1e-4)


def test_a_row_does_not_depend_on_its_neighbours(ready: Ready):
    """Row by row, the graph and its int8 form say what they say of a batch."""
    seen = some(ready.judge.seen, slice(0, 7))
    for graph in (ready.graph, with_int8_weights(ready.graph)):
        alone = np.concatenate([answer(graph, some(seen, slice(row, row + 1))) for row in range(7)])
        np.testing.assert_allclose(alone, answer(graph, seen), rtol=1e-5, atol=1e-5)


def test_the_graph_is_what_the_runtime_takes(ready: Ready):
    """Opset, IR version, names and the free batch axis are those that are agreed on; nothing tells of this machine."""
    model = onnx.load_from_string(ready.graph)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", OPSET)]
    assert model.ir_version == IR_VERSION
    assert [one.name for one in (*model.graph.input, *model.graph.output)] == ["features", "sequence", "scaled"]
    shapes = [[dim.dim_param or dim.dim_value for dim in one.type.tensor_type.shape.dim] for one in model.graph.input]
    assert shapes == [["N", 6], ["N", 10, 2]]
    assert b"torch_model" not in ready.graph


def test_int8_costs_little(ready: Ready):
    """The int8 graph is at most half the size, and its loss at most 2 % higher."""
    small = with_int8_weights(ready.graph)
    loss = pinball(answer(small, ready.judge.seen), ready.judge.target_NK)
    assert len(small) < 0.5 * len(ready.graph)
    assert loss == pytest.approx(ready.figures["held_out_loss"], rel=0.02)


@pytest.mark.parametrize("kind", list(KINDS))
def test_equal_seeds_give_equal_bits(kind: str, learn: Made, judge: Made):
    """The same data and seed give the same figures and answers, bit for bit; another seed does not."""
    cores = [KINDS[kind](SHORT) for _ in range(3)]
    figures = [fitted(core, learn, judge, seed) for core, seed in zip(cores, (5, 5, 6), strict=True)]
    said = [core.predict(judge.seen).tobytes() for core in cores]
    assert (figures[0], said[0]) == (figures[1], said[1])
    assert said[0] != said[2]


def test_unknown_targets_say_nothing(learn: Made, judge: Made):
    """Rows whose targets are all NaN change nothing; a target that is never known does not spoil the others."""
    unknown = np.full_like(judge.target_NK, np.nan)
    more = CoreInputs(*(np.concatenate([getattr(judge.seen, n)] * 2) for n in ("features_NF", "sequence_NPC")))
    padded = Made(more, np.concatenate([judge.target_NK, unknown]), judge.quantiles_NKQ)
    plain, with_unknown = (fitted(mlp(SHORT), learn, one)["held_out_loss"] for one in (judge, padded))
    assert with_unknown == pytest.approx(plain, rel=1e-5)

    never = learn.target_NK.copy()
    never[:, 1] = np.nan
    never[::3, 0] = np.nan
    core = mlp(SHORT)
    figures = fitted(core, replace(learn, target_NK=never), judge)
    said = core.predict(judge.seen)
    assert np.isfinite(said).all()
    alone = pinball(said[:, :1], judge.target_NK[:, :1])
    assert alone < 0.8 * pinball(np.quantile(judge.target_NK[:, :1], LEVELS, axis=0).T, judge.target_NK[:, :1])
    assert np.isfinite(figures["held_out_loss"])


def interrupting(share: float) -> Callable[[str, float], None]:
    """Ctrl-C when so much of the fit is over."""

    def impatient(doing: str, done: float) -> None:
        if done >= share:
            raise KeyboardInterrupt

    return impatient


def test_an_interrupted_fit_keeps_the_best_so_far(learn: Made, judge: Made):
    """Ctrl-C halfway leaves something better than constant quantiles, which answers and says that it happened."""
    core = mlp(SHORT)
    figures = fitted(core, learn, judge, progress=interrupting(0.5))
    loss = pinball(core.predict(judge.seen), judge.target_NK)
    assert figures["interrupted"] == 1
    assert loss == pytest.approx(figures["held_out_loss"], rel=1e-5)
    assert loss < 0.95 * figures["constant_loss"]


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_a_fit_interrupted_in_its_first_epoch_has_nothing_to_keep(share: float, learn: Made, judge: Made):
    """Ctrl-C at once or in the first epoch ends it with KeyboardInterrupt: there is no core."""
    core = mlp(SHORT)
    with pytest.raises(KeyboardInterrupt):
        fitted(core, learn, judge, progress=interrupting(share))
    with pytest.raises(ValueError, match="must be fitted"):
        core.predict(judge.seen)


def test_the_fit_ends_when_held_out_rows_gain_nothing(learn: Made, judge: Made):
    """On noise the fit stops after its patience, with the weights of its best epoch."""
    noise = np.random.default_rng(8).standard_normal((900, 3)).astype(np.float32)
    core = mlp(Fitting(epochs=50, batch_rows=128, patience_epochs=2, threads=1))
    figures = fitted(core, replace(learn, target_NK=noise[:500]), replace(judge, target_NK=noise[600:900]))
    assert figures["epochs"] == figures["best_epoch"] + 2 < 50
    assert figures["held_out_loss"] <= figures["constant_loss"]


def test_several_members_say_their_mean(learn: Made, judge: Made):
    """Two members answer the mean of the two networks of their seeds."""
    both, first, second = mlp(SHORT, members=2), mlp(SHORT), mlp(SHORT)
    for core, seed in ((both, 3), (first, 3), (second, 4)):
        fitted(core, learn, judge, seed)
    mean = (first.predict(judge.seen) + second.predict(judge.seen)) / 2
    np.testing.assert_allclose(both.predict(judge.seen), mean, atol=1e-5)


def test_a_member_that_was_interrupted_is_left_out(learn: Made, judge: Made):
    """Ctrl-C in the second member leaves the first as it is."""
    both, first = mlp(SHORT, members=2), mlp(SHORT)
    figures = fitted(both, learn, judge, progress=interrupting(0.7))
    fitted(first, learn, judge)
    assert (figures["members"], figures["interrupted"]) == (1, 1)
    np.testing.assert_array_equal(both.predict(judge.seen), first.predict(judge.seen))


def test_equal_fits_give_equal_graphs(learn: Made, judge: Made):
    """Two members export the same bytes after each fit; the graph answers as they do."""
    small = Architecture("features", width=16, blocks=1)
    core, again = (TorchCore(NetworkRecipe("mlp", small, SHORT, members=2)) for _ in range(2))
    fitted(core, learn, judge)
    fitted(again, learn, judge)
    graph = core.to_onnx()
    assert again.to_onnx() == graph
    np.testing.assert_allclose(answer(graph, judge.seen), core.predict(judge.seen), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda one: replace(one, target_NK=one.target_NK * np.nan), "training rows: no target is known"),
        (lambda one: replace(one, target_NK=one.target_NK[1:]), "training rows: .*equal lengths"),
        (
            lambda one: replace(one, seen=replace(one.seen, features_NF=one.seen.features_NF / np.float32(0))),
            "training rows: features must be finite",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_rows_that_teach_nothing_are_refused(spoil, rule: str, learn: Made, judge: Made):
    """The error names the rows and the rule."""
    with pytest.raises(ValueError, match=rule):
        fitted(mlp(SHORT), spoil(learn), judge)


def test_what_is_not_fitted_does_not_answer(judge: Made):
    """A core without weights says so."""
    with pytest.raises(ValueError, match="mlp: must be fitted"):
        mlp().predict(judge.seen)


def test_a_fit_leaves_the_settings_of_torch_alone(learn: Made, judge: Made):
    """Threads, determinism and the random numbers of the caller are what they were."""
    import torch

    def settings() -> tuple[object, ...]:
        fills = torch.utils.deterministic.fill_uninitialized_memory
        return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), fills, torch.random.initial_seed()

    before, state = settings(), torch.get_rng_state()
    fitted(mlp(SHORT), learn, judge)
    assert settings() == before
    assert torch.equal(torch.get_rng_state(), state)
