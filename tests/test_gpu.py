"What a GPU does otherwise than a processor; skipped where there is none"
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback

from salt_identification.data import salt_dataloaders
from salt_identification.files import SaltError, read_json
from salt_identification.folds import train_folds
from salt_identification.learner import load_run, resume_run, salt_learner, train_run
from salt_identification.losses import make_loss
from salt_identification.recipes import run_recipe
from salt_identification.submission import predict_submission, read_submission
from salt_identification.synth import synth_survey
from salt_identification.tiles import Survey
from salt_identification.training import pack_state, read_numbers, same_state, unpack_state
from salt_identification.tta import predict_tiles

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason='no GPU here')
SMALL = dict(net='slim8', bs=8, quiet=True, seed=3)
DROPS = dict(net='resnet18', weights=None, attention='scse', dropout=.3, bs=8, quiet=True, seed=3)

@pytest.fixture(scope='module')
def wide(tmp_path_factory):
    "A survey that can be learned, of 101-pixel tiles"
    return Survey(synth_survey(tmp_path_factory.mktemp('gpu')/'survey', n=120, n_test=24, seed=1).path)

@pytest.fixture(scope='module')
def run(wide, tmp_path_factory):
    "A run that was trained in bf16 or fp16, whatever suits the card"
    out = tmp_path_factory.mktemp('gpu')/'run'
    train_run(wide, out, epochs=30, net='slim16', bs=8, loss='bce', quiet=True)
    return out

class StopAt(Callback):
    "Ctrl-C in the middle of an epoch"
    order = 200
    def __init__(self, epoch): self.at = epoch
    def after_batch(self):
        if self.training and self.epoch == self.at and self.iter == 1: raise KeyboardInterrupt

def test_learns(run, wide):
    "The card is taken unasked, in the half precision that it has, and learns"
    config, history = read_json(run/'config.json'), pd.read_csv(run/'history.csv')
    card = torch.cuda.get_device_capability()[0] >= 8
    assert config['precision'] == ('bf16' if card else 'fp16')
    learn = load_run(run, wide)
    assert learn.device.type == 'cuda' and len(history) == 30
    assert history.valid_loss.iloc[-1] < .7*history.valid_loss.iloc[0] and learn.validate()[1] > .3

def test_as_on_a_processor(run, wide):
    "A run that a GPU trained predicts on a processor what it predicts on the GPU"
    there, here = (predict_tiles(load_run(run, wide, device=d), wide.test, 'flip').mean for d in ('cuda', 'cpu'))
    assert there.device.type == 'cpu'
    assert (there - here).abs().mean() < .005 and ((there > .5) != (here > .5)).float().mean() < .005

def test_tiles_on_the_card(wide):
    "Batches that are cut out of the card are those that are sent there one by one"
    kept, sent = (salt_dataloaders(wide, bs=16, seed=2) for _ in range(2))
    for dl in sent.loaders: dl._held = torch.device(dl.device), None # as if there were no room
    for a, b in zip(kept.train, sent.train):
        assert all(x.device.type == 'cuda' and type(x) is type(y) and torch.equal(x, y) for x, y in zip(a, b))
    assert kept.train._held[1][0].device.type == 'cuda' and kept.train._held[1][0].dtype == torch.uint8

@pytest.mark.parametrize('precision', ['float32', 'bf16', 'fp16'])
def test_precisions(wide, tmp_path, precision):
    "Whole trainings in each precision, gradients cut off at a length"
    learn = train_run(wide, tmp_path/'run', epochs=2, precision=precision, clip=1., **DROPS)
    assert all(p.isfinite().all() for p in learn.model.parameters())
    assert not torch.is_autocast_enabled('cuda')
    assert next(learn.model.parameters()).dtype == torch.float32

def test_draws(wide):
    "What a net draws on the card, as dropout does, depends on the number of the batch alone"
    dl, found = salt_dataloaders(wide, bs=16).train, []
    for position in (5, 6, 5):
        dl.position = position
        next(iter(dl))
        found.append(torch.rand(4, device='cuda').tolist())
    assert found[0] == found[2] != found[1]

TFMS = [dict(affine=True, light=True, cutmix=True), dict(dihedral=True), dict(flip=False)]
@pytest.mark.parametrize('tfms', TFMS)
def test_transforms(wide, tfms):
    "Every transform works on the card and does there what it does on a processor"
    batches = [next(iter(salt_dataloaders(wide, bs=16, tfms=tfms, seed=5, device=d).train)) for d in ('cuda', 'cpu')]
    (x, y), (x2, y2) = batches
    assert x.device.type == y.device.type == 'cuda'
    assert (x.cpu() - x2).abs().mean() < 1e-3 and (y.cpu() != y2).float().mean() < 1e-3

@pytest.mark.parametrize('name',
    ['bce', 'focal', 'lovasz', 'symlovasz', 'lovasz(act=relu)', 'bce+dice', 'bce+0.1*presence', 'bce>lovasz@0.5'])
def test_losses(name):
    "The same loss and gradient on both"
    given = torch.Generator().manual_seed(0)
    logits, masks = torch.randn(4, 1, 33, 33, generator=given), (torch.rand(4, 33, 33, generator=given) > .6).long()
    found = []
    for d in ('cuda', 'cpu'):
        x = logits.to(d).requires_grad_()
        loss = make_loss(name)(x, masks.to(d)); loss.backward()
        found.append((loss.item(), x.grad.cpu()))
    (a, g), (b, h) = found
    assert abs(a - b) < 1e-4 and torch.allclose(g, h, atol=1e-6)

def test_masks_of_255():
    "A loss looks at the first masks that it is given on a card, and waits for no others"
    logits, masks = torch.zeros(2, 1, 8, 8, device='cuda'), torch.ones(2, 8, 8, dtype=torch.long, device='cuda')
    loss = make_loss('bce')
    with pytest.raises(SaltError, match='masks hold 255'): loss(logits, masks*255)
    loss(logits, masks)
    torch.cuda.set_sync_debug_mode('error')
    try: loss(logits, masks)
    finally: torch.cuda.set_sync_debug_mode('default')

@pytest.mark.parametrize('extra', [dict(hypercolumn=True), dict(deep=True), dict(coords=True),
    dict(attention='self'), dict(drop_path=.2), dict(zoom=1.27), dict(full_res=True)])
def test_nets(wide, tmp_path, extra):
    "Each part of the net trains on the card"
    learn = train_run(wide, tmp_path/'run', steps=3, **SMALL | extra)
    assert all(p.isfinite().all() for p in learn.model.parameters())

@pytest.mark.parametrize('precision', ['bf16', 'fp16'])
def test_resume(wide, tmp_path, precision):
    "Stopped in the middle of its way and gone on with, a run ends where one that was left alone ends, but for the order of sums on the card"
    args = DROPS | dict(epochs=4, precision=precision, keep='last')
    alone = train_run(wide, tmp_path/'alone', **args)
    with pytest.raises(KeyboardInterrupt): train_run(wide, tmp_path/'stopped', cbs=[StopAt(2)], **args)
    assert not torch.is_autocast_enabled('cuda')
    numbers = read_numbers(tmp_path/'stopped'/'last.safetensors')
    assert ('scale' in numbers) == (precision == 'fp16')
    again = resume_run(tmp_path/'stopped', wide, quiet=True, cbs=[StopAt(99)])
    assert again.device.type == 'cuda'
    a, b = (predict_tiles(l, wide.test).mean for l in (alone, again))
    assert (a - b).abs().mean() < .02, (a - b).abs().mean()

def test_from_card_to_processor(wide, tmp_path):
    "A run that was stopped on a GPU goes on without one"
    with pytest.raises(KeyboardInterrupt): train_run(wide, tmp_path/'run', epochs=3, cbs=[StopAt(1)], **SMALL)
    learn = resume_run(tmp_path/'run', wide, device='cpu', quiet=True, cbs=[StopAt(99)])
    assert learn.device.type == 'cpu' and len((tmp_path/'run'/'history.csv').read_text().splitlines()) == 4

def test_save_and_load(wide, tmp_path):
    "The state of a learner on the card comes back whole"
    learn = salt_learner(salt_dataloaders(wide, bs=16), 'slim8')
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    state = pack_state(learn)
    with learn.no_bar(), learn.no_logging(): learn.fit(1)
    assert not same_state(pack_state(learn)[0], state[0])
    unpack_state(learn, *state)
    assert same_state(pack_state(learn)[0], state[0])
    assert all(v.device.type == 'cuda' for v in learn.model.state_dict().values())

def test_by_hand(wide):
    "What a notebook does: search a rate, train, look, predict one tile"
    import matplotlib; matplotlib.use('Agg')
    learn = salt_learner(salt_dataloaders(wide, bs=16), 'slim8')
    with learn.no_bar(), learn.no_logging():
        assert 1e-7 < learn.lr_find(show_plot=False).valley < 10
        learn.fit_one_cycle(2, 1e-3)
    learn.show_results(max_n=2)
    mask, probs = learn.predict(wide.test.images[0])
    assert mask.shape == (101,101) and probs.shape == (1,101,101) and isinstance(probs, np.ndarray)
    with learn.no_bar(): preds, targs = learn.get_preds()
    assert len(preds) == len(targs)

@pytest.mark.parametrize('jobs', [None, 2])
def test_folds(wide, tmp_path, jobs):
    "Nets of several folds, one after the other or side by side on one card, and their mean as a submission"
    runs = train_folds(wide, tmp_path/'folds', 3, nets=2, epochs=2, net='slim8', bs=8, quiet=True, jobs=jobs)
    assert len(runs) == 2
    predict_submission(runs, wide, tmp_path/'submission.csv')
    ids, masks = read_submission(tmp_path/'submission.csv', (101,101))
    assert len(ids) == 24 and masks.shape == (24,101,101)

@pytest.mark.parametrize('recipe', ['quick', 'hour'])
def test_recipe(wide, tmp_path, recipe):
    "A recipe plans for the time that it was given, and goes the whole way"
    found = run_recipe(wide, tmp_path/'out', recipe, minutes=.5, weights='none', quiet=True)
    plan = read_json(tmp_path/'out'/'recipe.json')
    assert 0 < plan['train_minutes'] < .5 and plan['late_minutes'] < .5
    assert 0 <= found.low <= found.score <= found.high <= 1 and (tmp_path/'out'/'submission.csv').exists()
